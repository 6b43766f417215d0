// Use of the limits by scope as bars, the fullest scope first: a desk, a strategy, a venue ... with each of its limits.

import { el } from "../core/dom.js";
import { number } from "../core/format.js";
import { bar } from "./cells.js";

/** More scopes than this are many to look at; the rest stand on the page of the limits. */
const SHOWN = 8;
const LABELS = {
  max_gross_notional: "Gross",
  max_net_notional: "Net",
  max_open_orders: "Open orders",
  max_orders_per_day: "Orders today",
  max_turnover_per_day: "Turnover today",
  max_daily_loss: "Daily loss",
  max_drawdown: "Drawdown",
  max_venue_notional: "Gross",
  max_currency_notional: "Gross",
};

export const isCount = (limit) => ["max_open_orders", "max_orders_per_day"].includes(limit);

const fullest = (uses) => Math.max(...uses.map((use) => use.fraction ?? 0));
/** `desk:pair` as a name with its kind before it; the firm and the account have no name but their kind. */
const kindOf = (scope) => scope.split(":")[0];
const nameOf = (scope) => scope.split(/:(.*)/)[1] || "";

/** Nothing where no limit of a scope is published. */
export function scopeBars(uses) {
  if (!uses?.length) return null;
  const scopes = grouped(uses);
  const sorted = [...scopes].sort(([a, one], [b, other]) => fullest(other) - fullest(one) || (a < b ? -1 : 1));
  const rest = sorted.length - SHOWN;
  return el(
    "section",
    { class: "scope-use" },
    el("h3", {}, "By scope"),
    el("div", { class: "scope-list" }, sorted.slice(0, SHOWN).map(([scope, own]) => scopeBox(scope, own))),
    rest > 0 ? el("p", { class: "hint" }, `${rest} more, less full, on `, el("a", { href: "/limits/" }, "Limits")) : null,
  );
}

function grouped(uses) {
  const found = new Map();
  for (const use of uses) found.set(use.scope, [...(found.get(use.scope) || []), use]);
  return found;
}

function scopeBox(scope, uses) {
  const title = el("p", { class: "scope-name" }, nameOf(scope) ? el("span", { class: "hint" }, `${kindOf(scope)} `) : null, el("strong", {}, nameOf(scope) || kindOf(scope)));
  return el("div", {}, title, uses.map(useBar));
}

function useBar(use) {
  const places = isCount(use.limit) ? 0 : 2;
  const used = use.used === null ? "not known" : number(use.used, places);
  return bar(LABELS[use.limit] || use.limit, `${used} / ${number(use.most, 0)}`, use.fraction);
}
