// Which function gives life to which `data-widget`.

import { mountAuditEntries, mountAuditExport, mountAuditFilters, mountAuditProof, mountCheckpoints } from "./audit.js";
import { mountAttribution } from "./attribution.js";
import { mountBalances } from "./balances.js";
import { mountBacktestCompare, mountBacktestForm, mountBacktests } from "./backtests.js";
import { mountChart, mountRange, mountScope } from "./chart.js";
import { mountDeployment, mountFleet, mountLatency, mountLimits, mountProcesses } from "./desk.js";
import { mountIncidentDetail, mountIncidents, mountOpenIncidents } from "./incidents.js";
import { mountKpis } from "./kpis.js";
import { mountLimitEditor } from "./limit-editor.js";
import { mountLimitVersions } from "./limit-versions.js";
import { mountLimitScopes } from "./limits.js";
import { mountOrders, mountRecentFills, mountRecentOrders } from "./orders.js";
import { mountOverrides } from "./overrides.js";
import { mountParents } from "./parents.js";
import { mountPositions } from "./positions.js";
import { mountComponents, mountCoverage, mountExposure, mountRiskKpis, mountStress, mountVarLimit, mountVarMethods } from "./risk.js";
import { mountRebalanceForm, mountRebalanceSchedule } from "./rebalance-form.js";
import { mountRebalance, mountRebalances } from "./rebalances.js";
import { mountRiskChart } from "./risk-chart.js";
import { mountScopeHalts } from "./scope-halts.js";
import { mountFactors, mountSessions, mountTokens } from "./security.js";
import { mountWhatIf } from "./what-if.js";
import { mountStrategies, mountStrategyRunning } from "./strategies.js";

export const WIDGETS = {
  attribution: mountAttribution,
  "audit-checkpoints": mountCheckpoints,
  "audit-entries": mountAuditEntries,
  "audit-export": mountAuditExport,
  "audit-filters": mountAuditFilters,
  "audit-proof": mountAuditProof,
  "backtest-compare": mountBacktestCompare,
  "backtest-form": mountBacktestForm,
  backtests: mountBacktests,
  balances: mountBalances,
  chart: mountChart,
  strategies: mountStrategies,
  "strategy-running": mountStrategyRunning,
  components: mountComponents,
  coverage: mountCoverage,
  deployment: mountDeployment,
  exposure: mountExposure,
  factors: mountFactors,
  fleet: mountFleet,
  "incident-detail": mountIncidentDetail,
  incidents: mountIncidents,
  kpis: mountKpis,
  latency: mountLatency,
  limits: mountLimits,
  "limit-editor": mountLimitEditor,
  "limit-scopes": mountLimitScopes,
  "limit-versions": mountLimitVersions,
  "open-incidents": mountOpenIncidents,
  orders: mountOrders,
  overrides: mountOverrides,
  parents: mountParents,
  positions: mountPositions,
  processes: mountProcesses,
  rebalance: mountRebalance,
  "rebalance-form": mountRebalanceForm,
  "rebalance-schedule": mountRebalanceSchedule,
  rebalances: mountRebalances,
  "recent-fills": mountRecentFills,
  "recent-orders": mountRecentOrders,
  range: mountRange,
  "risk-chart": mountRiskChart,
  "risk-kpis": mountRiskKpis,
  scope: mountScope,
  "scope-halts": mountScopeHalts,
  sessions: mountSessions,
  stress: mountStress,
  tokens: mountTokens,
  "var-limit": mountVarLimit,
  "var-methods": mountVarMethods,
  "what-if": mountWhatIf,
};
