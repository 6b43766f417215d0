from __future__ import annotations

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from apps.trading.api import (
    adoptions,
    backtest_views,
    flatten,
    ledger_views,
    parents,
    rebalance_views,
    risk_views,
    routes,
    scope_views,
    views,
)

router = SimpleRouter()
router.register("rebalances", rebalance_views.RebalanceViewSet, basename="rebalance")
router.register("trading/orders", views.OrderViewSet, basename="trading-order")

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path("trading/orders/<str:client_id>/trace/", views.OrderTraceView.as_view(), name="trading-order-trace"),
    path("trading/account/", views.AccountView.as_view(), name="trading-account"),
    path("trading/pnl/", views.PnlView.as_view(), name="trading-pnl"),
    path("trading/positions/", views.PositionView.as_view(), name="trading-positions"),
    path("trading/flatten/", flatten.FlattenView.as_view(), name="trading-flatten"),
    path("trading/fills/", views.FillView.as_view(), name="trading-fills"),
    path("trading/instruments/", views.InstrumentView.as_view(), name="trading-instruments"),
    path("trading/reconciliations/", views.ReconciliationView.as_view(), name="trading-reconciliations"),
    path("trading/balance-breaks/", adoptions.BalanceBreakView.as_view(), name="trading-balance-breaks"),
    path("trading/balance-adoptions/", adoptions.BalanceAdoptionView.as_view(), name="trading-balance-adoptions"),
    path(
        "trading/balance-adoptions/<uuid:adoption_id>/approve/",
        adoptions.ApproveAdoptionView.as_view(),
        name="trading-balance-adoption-approve",
    ),
    path("trading/control/", views.ControlView.as_view(), name="trading-control"),
    path("trading/halts/", views.HaltView.as_view(), name="trading-halts"),
    path("trading/resume/", views.ResumeView.as_view(), name="trading-resume"),
    path("trading/resume-requests/", views.ResumeRequestView.as_view(), name="trading-resume-requests"),
    path(
        "trading/resume-requests/<uuid:request_id>/approve/",
        views.ApproveResumeView.as_view(),
        name="trading-resume-approve",
    ),
    path("rebalances/<uuid:run_id>/proposal/", rebalance_views.ProposalView.as_view(), name="rebalance-proposal"),
    path("rebalances/<uuid:run_id>/approve/", rebalance_views.ApproveRebalanceView.as_view(), name="rebalance-approve"),
    path("rebalances/<uuid:run_id>/cancel/", rebalance_views.CancelRebalanceView.as_view(), name="rebalance-cancel"),
    path("rebalance-schedules/", rebalance_views.ScheduleListView.as_view(), name="rebalance-schedules"),
    path(
        "rebalance-schedules/preview/", rebalance_views.SchedulePreviewView.as_view(), name="rebalance-schedule-preview"
    ),
    path(
        "rebalance-schedules/<uuid:schedule_id>/end/",
        rebalance_views.ScheduleEndView.as_view(),
        name="rebalance-schedule-end",
    ),
    path("ledger/", ledger_views.LedgerView.as_view(), name="ledger"),
    path("pnl/attribution/", ledger_views.ProfitAttributionView.as_view(), name="pnl-attribution"),
    path("backtests/", backtest_views.BacktestsView.as_view(), name="backtests"),
    path("backtests/<uuid:run_id>/", backtest_views.BacktestView.as_view(), name="backtest"),
    path("backtests/<uuid:run_id>/cancel/", backtest_views.BacktestCancelView.as_view(), name="backtest-cancel"),
    path("backtests/<uuid:run_id>/tear-sheet/", backtest_views.TearSheetView.as_view(), name="backtest-tear-sheet"),
    path("strategies/", backtest_views.StrategiesView.as_view(), name="strategies"),
    path("risk/report/", risk_views.RiskReportView.as_view(), name="risk-report"),
    path("risk/history/", risk_views.RiskHistoryView.as_view(), name="risk-history"),
    path("risk/what-if/", risk_views.WhatIfView.as_view(), name="risk-what-if"),
    path("parents/", parents.ParentListView.as_view(), name="parents"),
    path("parents/preview/", parents.ParentPreviewView.as_view(), name="parent-preview"),
    path("parents/<str:parent_id>/", parents.ParentView.as_view(), name="parent"),
    path("parents/<str:parent_id>/routes/", routes.ParentRoutesView.as_view(), name="parent-routes"),
    path("parents/<str:parent_id>/routing/", routes.ParentRoutingView.as_view(), name="parent-routing"),
    path("parents/<str:parent_id>/cancel/", parents.ParentCancelView.as_view(), name="parent-cancel"),
    path("trading/scopes/", scope_views.ScopeView.as_view(), name="trading-scopes"),
    path("trading/scopes/known/", scope_views.KnownScopesView.as_view(), name="trading-scopes-known"),
    path("trading/scope-halts/", scope_views.ScopeHaltView.as_view(), name="trading-scope-halts"),
    path("trading/scope-resume/", scope_views.ScopeResumeView.as_view(), name="trading-scope-resume"),
    path(
        "trading/scope-halts/<uuid:halt_id>/approve/",
        scope_views.ApproveScopeResumeView.as_view(),
        name="trading-scope-approve",
    ),
    path("trading/cancel/", scope_views.CancelView.as_view(), name="trading-cancel"),
    path("trading/cancel-all/", views.CancelAllView.as_view(), name="trading-cancel-all"),
]
