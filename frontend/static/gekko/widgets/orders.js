// Orders and fills: the short lists of the overview, the tabs of their page, and the drawer for one order.

import { post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { el } from "../core/dom.js";
import { ask, drawer } from "../core/dialogs.js";
import { average, dateTime, fee, milliseconds, price, quantity, timeOfDay, words } from "../core/format.js";
import { venue } from "../core/may.js";
import { listen, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { asked, keep } from "../frame/nav.js";
import { bar, facts, pill, sideCell, stateCell } from "./cells.js";

const BUDGET_NS = 50e6;
const newest = (field) => ([, a], [, b]) => (a[field] < b[field] ? 1 : a[field] > b[field] ? -1 : 0);
const refusedBy = (row) => row.status === "REJECTED" || row.status === "DENIED";
const reasons = (row) => row.reasons.map((reason) => reason.text).join("; ") || row.detail;

export function mountRecentOrders(host) {
  const columns = [
    (row) => timeOfDay(row.created_at),
    (row) => row.symbol,
    (row) => sideCell(row.side),
    (row) => quantity(row.quantity),
    (row) => price(row.price),
    (row) => stateCell(row.status),
  ];
  const table = new LiveTable(host, columns, {
    empty: { title: "No orders yet", text: "The strategy sends its first order when the forecast is sure enough." },
    onOpen: openOrder,
  });
  return listen("orders", (rows) => table.render([...rows].sort(newest("created_at")).slice(0, 8)));
}

const fillColumns = [
  (row) => timeOfDay(row.executed_at),
  (row) => row.symbol,
  (row) => sideCell(row.side),
  (row) => quantity(row.quantity),
  (row) => fee(row.fee, row.fee_asset),
  (row) => price(row.price),
];

export function mountRecentFills(host) {
  const empty = { title: "No fills yet", text: "Executions appear here as the venue reports them." };
  const open = (key) => openOrder(topicState("fills").rows.get(key).client_id);
  const table = new LiveTable(host, fillColumns, { empty, onOpen: open });
  return listen("fills", (rows) => table.render([...rows].sort(newest("executed_at")).slice(0, 8)));
}

const TABS = {
  working: { pick: (row) => row.open, empty: { title: "Nothing is working", text: "Orders at the venue show here until they end." } },
  done: {
    pick: (row) => !row.open && !refusedBy(row),
    empty: { title: "No order has ended yet", text: "Filled, cancelled and expired orders show here." },
  },
  rejected: { pick: refusedBy, empty: { title: "No order was refused", text: "Refusals of the risk gate and the venue show here with the reason." } },
};

const orderColumns = [
  (row) => ({ text: timeOfDay(row.created_at), title: row.created_at }),
  (row) => row.symbol,
  (row) => sideCell(row.side),
  (row) => `${words(row.order_type)} ${row.tif}`,
  (row) => quantity(row.quantity),
  (row) => quantity(row.filled_quantity),
  (row) => (row.average_price === null ? price(row.price) : average(row.average_price)),
  (row) => stateCell(row.status, row.status === "UNKNOWN" ? "Unknown, checking" : undefined),
  (row) => ({ text: reasons(row) || "–", title: reasons(row), cls: "clip" }),
];

/** A fill in the columns of an order. */
const fillAsOrder = [
  (row) => ({ text: timeOfDay(row.executed_at), title: row.executed_at }),
  (row) => row.symbol,
  (row) => sideCell(row.side),
  (row) => (row.maker ? "Maker" : "Taker"),
  (row) => quantity(row.quantity),
  (row) => quantity(row.quantity),
  (row) => price(row.price),
  () => stateCell("FILLED"),
  (row) => `Fee ${fee(row.fee, row.fee_asset)}`,
];

export function mountOrders(host) {
  const choices = host.closest(".panel").querySelector('[data-choices="tab"]');
  const isTab = (name) => name === "fills" || name in TABS;
  let tab = isTab(asked("tab")) ? asked("tab") : "done";
  let table = null;
  let shown = "";
  const show = () => {
    const fills = tab === "fills";
    if (shown !== tab) {
      host.querySelector("tbody").replaceChildren();
      const empty = fills ? { title: "No fills yet", text: "Executions appear here as the venue reports them." } : TABS[tab].empty;
      const open = fills ? (key) => openOrder(topicState("fills").rows.get(key).client_id) : openOrder;
      table = new LiveTable(host, fills ? fillAsOrder : orderColumns, { empty, onOpen: open });
      shown = tab;
    }
    const rows = [...topicState(fills ? "fills" : "orders").rows].filter(([, row]) => fills || TABS[tab].pick(row));
    table.render(rows.sort(newest(fills ? "executed_at" : "created_at")).slice(0, 200));
  };
  choose(choices, tab, (chosen) => {
    tab = chosen;
    keep("tab", tab);
    show();
  });
  host.closest(".panel").querySelector('[data-action="cancel-all"]')?.addEventListener("click", cancelAll);
  const ends = [listen("orders", () => tab !== "fills" && show()), listen("fills", () => tab === "fills" && show())];
  return () => ends.forEach((end) => end());
}

/** Order every open order to be cancelled; trading goes on. */
function cancelAll() {
  const open = [...topicState("orders").rows.values()].filter((row) => row.open).length;
  ask({
    title: "Cancel open orders",
    what: `${open} open now. The venue is told to cancel all of them. Trading goes on and positions stay as they are.`,
    fields: [{ name: "reason", label: "Reason, for the audit trail" }],
    confirm: "Cancel orders",
    danger: true,
    act: async ({ reason }) => {
      await post("trading/cancel-all/", { venue, reason });
      toast("Cancelling ordered; orders leave this list as the venue confirms");
    },
  });
}

/** Wire a group of exclusive choices. */
export function choose(group, current, onChoice) {
  const press = (value) => {
    for (const button of group.querySelectorAll("[data-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.choice === value));
    }
  };
  press(current);
  group.addEventListener("click", (event) => {
    const button = event.target.closest("[data-choice]");
    if (!button) return;
    press(button.dataset.choice);
    onChoice(button.dataset.choice);
  });
}

/** Everything that is known of one order. */
export function openOrder(clientId) {
  const row = topicState("orders").rows.get(clientId);
  if (!row) return;
  const why = row.reasons.map((reason) => el("li", {}, reason.text, " ", el("code", {}, reason.code)));
  drawer(
    `${row.side === "BUY" ? "Buy" : "Sell"} ${row.symbol}`,
    el("p", { class: "row" }, pill(row.status), el("span", { class: "hint" }, `${quantity(row.filled_quantity)} of ${quantity(row.quantity)} filled`)),
    why.length ? el("section", {}, el("h3", {}, "Why it was refused"), el("ul", { class: "reasons" }, why)) : null,
    el("section", {}, el("h3", {}, "States"), timeline(row)),
    el("section", {}, el("h3", {}, "Latency, of a budget of 50 ms"), latency(row.stages)),
    el("section", {}, el("h3", {}, "Order"), orderFacts(row)),
  );
}

function timeline(row) {
  const steps = row.timeline.map((step) =>
    el(
      "li",
      {},
      el("time", { datetime: step.at, title: step.at }, `${timeOfDay(step.at)}.${new Date(step.at).toISOString().slice(20, 23)}`),
      el("strong", {}, words(step.what)),
      step.detail ? el("span", { class: "hint" }, step.detail) : null,
    ),
  );
  return el("ol", { class: "timeline" }, steps);
}

const STAGES = ["signal", "risk", "journal", "send"];

/** Whole times of the orders known here, in ns, shortest first; orders that never left are left out. */
export function pathTimes() {
  const whole = [...topicState("orders").rows.values()].filter((row) => row.stages.send !== undefined);
  return whole.map((row) => STAGES.reduce((sum, name) => sum + (row.stages[name] || 0), 0)).sort((a, b) => a - b);
}

export const quantile = (sorted, q) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] : null);

export function latency(stages) {
  const known = STAGES.filter((name) => stages[name] !== undefined);
  if (!known.length) return el("p", { class: "hint" }, "No stage was measured.");
  const total = known.reduce((sum, name) => sum + stages[name], 0);
  const lines = known.map((name) => bar(words(name), milliseconds(stages[name]), stages[name] / BUDGET_NS));
  return el("div", {}, lines, bar("Total", milliseconds(total), total / BUDGET_NS));
}

function orderFacts(row) {
  return facts([
    ["Type", `${words(row.order_type)} ${row.tif}${row.reduce_only ? ", reduce only" : ""}`],
    ["Limit price", price(row.price)],
    ["Average price", average(row.average_price)],
    ["Reference price", price(row.reference_price)],
    ["Created", `${dateTime(row.created_at)} UTC`],
    ["Ended", row.ended_at ? `${dateTime(row.ended_at)} UTC` : "still open"],
    ["Client id", row.client_id],
    ["Venue id", row.venue_order_id],
    ["Run", row.run_id],
    ["Model", row.model_digest.slice(0, 12)],
    ["Forecast", row.forecast_id],
    ["Limits version", String(row.limits_version)],
  ]);
}
