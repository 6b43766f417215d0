// The limits of single scopes with what is in use of them, as the gate counts it.

import { DASH, el } from "../core/dom.js";
import { number } from "../core/format.js";
import { listen, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { bar } from "./cells.js";
import { inForce } from "./limit-editor.js";
import { policyWords } from "./limit-versions.js";
import { label } from "./limit-values.js";
import { isCount } from "./scope-use.js";

/** Limits of the whole account that a version may leave out; the others stand under what is in use. */
const OF_ACCOUNT = ["max_net_notional", "max_orders_per_day", "max_turnover_per_day"];
/** What these bound is one order, not what is in use. */
const PER_ORDER = new Set(["max_order_notional"]);

const positionOf = (symbol) => [...topicState("positions").rows.values()].find((row) => row.symbol === symbol);

/** What the trading loop says is in use, by scope and limit; empty while it says nothing. */
function usesNow() {
  const row = topicState("risk").rows.values().next().value;
  return new Map((row?.use?.scopes || []).map((use) => [`${use.scope}|${use.limit}`, use.used]));
}

function scopeRows(limits) {
  const rows = [], uses = usesNow();
  const add = (scope, name, most, used = uses.get(`${scope}|${name}`) ?? null) => rows.push([`${scope}|${name}`, { scope, name, most, used }]);
  for (const [scope, own] of Object.entries(limits.scopes || {})) for (const [name, most] of Object.entries(own)) add(scope, name, most);
  for (const name of OF_ACCOUNT) if (limits[name] !== undefined) add("account", name, limits[name]);
  for (const [name, most] of Object.entries(limits.max_venue_notional || {})) add(`venue:${name}`, "max_venue_notional", most);
  for (const [name, most] of Object.entries(limits.max_currency_notional || {})) add(`currency:${name}`, "max_currency_notional", most);
  for (const [symbol, most] of Object.entries(limits.max_position || {})) add(`instrument:${symbol}`, "max_position", most, positionOf(symbol)?.quantity ?? null);
  return rows;
}

function useOf(row) {
  if (PER_ORDER.has(row.name)) return el("span", { class: "hint" }, "each order");
  if (row.used === null) return el("span", { class: "hint" }, "not known");
  const share = Number(row.most) ? Math.abs(Number(row.used)) / Number(row.most) : 1;
  return bar("", `${number(share * 100, 0)} %`, share);
}

const places = (name) => (isCount(name) || name === "max_position" ? 8 : 2);

export function mountLimitScopes(host) {
  const columns = [
    (row) => ({ text: row.scope, sub: label(row.name), cls: "strong" }),
    (row) => ({ text: label(row.name), title: row.name }),
    (row) => (row.used === null ? DASH : number(Math.abs(row.used), 0, places(row.name))),
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
  const ends = ["policies", "positions", "risk"].map((name) => listen(name, show));
  return () => ends.forEach((end) => end());
}
