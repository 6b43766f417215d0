// The limits of single scopes with what they hold now.

import { DASH, el } from "../core/dom.js";
import { number } from "../core/format.js";
import { listen, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { bar } from "./cells.js";
import { inForce } from "./limit-editor.js";
import { policyWords } from "./limit-versions.js";
import { label } from "./limit-values.js";

const positionOf = (symbol) => [...topicState("positions").rows.values()].find((row) => row.symbol === symbol);
const held = (symbol) => (positionOf(symbol)?.mark == null ? null : Math.abs(Number(positionOf(symbol).quantity) * Number(positionOf(symbol).mark)));

/** Value held in a scope, as far as the screen knows it: instruments by their positions, venues by the risk report. */
function valueIn(scope) {
  const [kind, name] = scope.split(/:(.*)/);
  const report = topicState("risk_report").rows.values().next().value;
  if (kind === "instrument") return held(name);
  if (kind === "venue") return report?.exposure.venues[name] ?? null;
  if (kind === "firm") return report?.exposure.gross ?? null;
  return null;
}

function scopeRows(limits) {
  const rows = [];
  const add = (scope, name, most, used) => rows.push([`${scope}|${name}`, { scope, name, most, used }]);
  for (const [scope, own] of Object.entries(limits.scopes || {}))
    for (const [name, most] of Object.entries(own)) add(scope, name, most, name === "max_gross_notional" ? valueIn(scope) : null);
  const report = topicState("risk_report").rows.values().next().value;
  for (const [name, most] of Object.entries(limits.max_venue_notional || {})) add(`venue:${name}`, "max_venue_notional", most, report?.exposure.venues[name] ?? null);
  for (const [name, most] of Object.entries(limits.max_currency_notional || {})) add(`currency:${name}`, "max_currency_notional", most, report?.exposure.currencies[name] ?? null);
  for (const [symbol, most] of Object.entries(limits.max_position || {})) add(`instrument:${symbol}`, "max_position", most, positionOf(symbol)?.quantity ?? null);
  return rows;
}

function useOf(row) {
  const share = row.used === null || !Number(row.most) ? null : Math.abs(Number(row.used)) / Number(row.most);
  if (share === null) return el("span", { class: "hint" }, "judged by the gate");
  return bar("", `${number(share * 100, 0)} %`, share);
}

export function mountLimitScopes(host) {
  const columns = [
    (row) => ({ text: row.scope, sub: label(row.name), cls: "strong" }),
    (row) => ({ text: label(row.name), title: row.name }),
    (row) => (row.used === null ? DASH : number(Math.abs(row.used), 0, row.name.endsWith("notional") ? 2 : 8)),
    (row) => number(row.most, 0, 8),
    (row) => ({ node: () => useOf(row), key: `${row.used}|${row.most}` }),
  ];
  const table = new LiveTable(host, columns, { empty: { title: "No limit is set for a single scope", text: "A new version may bound venues, desks, strategies, instruments and currencies by themselves." } });
  const show = () => {
    const topic = topicState("policies");
    if (!topic.known) return;
    const active = inForce();
    if (active) table.render(scopeRows(active.limits));
    else table.say(policyWords.title, policyWords.text);
  };
  const ends = ["policies", "positions", "risk_report"].map((name) => listen(name, show));
  return () => ends.forEach((end) => end());
}
