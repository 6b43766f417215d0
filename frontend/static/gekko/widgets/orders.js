// Orders and fills: the short lists of the overview and the tabs of their page.

import { post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { ask } from "../core/dialogs.js";
import { fee, number, priceOf, quantityOf, timeOfDay, words } from "../core/format.js";
import { knowInstruments } from "../core/instruments.js";
import { venue } from "../core/may.js";
import { listen, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { sentence } from "../core/text.js";
import { asked, keep } from "../frame/nav.js";
import { sideCell, stateCell } from "./cells.js";
import { knowRuns, openOrder } from "./order-drawer.js";

export { openOrder } from "./order-drawer.js";

const newest = (field) => ([, a], [, b]) => (a[field] < b[field] ? 1 : a[field] > b[field] ? -1 : 0);
const refusedBy = (row) => row.status === "REJECTED" || row.status === "DENIED";
const NO_FILLS = { title: "No fills yet", text: "Executions appear here as the venue reports them." };
const reasons = (row) => row.reasons.map((reason) => reason.text).join("; ") || row.detail;

export function mountRecentOrders(host) {
  const columns = [
    (row) => timeOfDay(row.created_at),
    (row) => row.symbol,
    (row) => sideCell(row.side),
    (row) => quantityOf(row.quantity, row.symbol),
    (row) => priceOf(row.price, row.symbol),
    (row) => stateCell(row.status),
  ];
  const table = new LiveTable(host, columns, {
    empty: { title: "No orders yet", text: "The strategy sends its first order when the forecast is sure enough." },
    onOpen: openOrder,
  });
  return recent(table, "orders", "created_at");
}

export function mountRecentFills(host) {
  const columns = [
    (row) => timeOfDay(row.executed_at),
    (row) => row.symbol,
    (row) => sideCell(row.side),
    (row) => quantityOf(row.quantity, row.symbol),
    (row) => priceOf(row.price, row.symbol),
    (row) => fee(row.fee, row.fee_asset),
  ];
  return recent(new LiveTable(host, columns, { empty: NO_FILLS, onOpen: openFill }), "fills", "executed_at");
}

/** The newest few of a topic; shown again once the decimals of instruments are known. */
function recent(table, topic, field) {
  const show = (rows) => table.render([...rows].sort(newest(field)).slice(0, 8));
  knowInstruments().then(() => topicState(topic).known && show(topicState(topic).rows));
  const ends = [listen(topic, show), knowRuns()];
  return () => ends.forEach((end) => end());
}

const openFill = (key) => openOrder(topicState("fills").rows.get(key).client_id);

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
  (row) => ({ text: row.symbol, sub: timeOfDay(row.created_at) }),
  (row) => sideCell(row.side),
  (row) => ({ text: `${words(row.order_type)} ${row.tif}${row.emulated ? ", emulated" : ""}`, title: row.emulated_why || "" }),
  (row) => ({ text: quantityOf(row.quantity, row.symbol), sub: row.filled_quantity === row.quantity ? "" : `filled ${quantityOf(row.filled_quantity, row.symbol)}` }),
  (row) => quantityOf(row.filled_quantity, row.symbol),
  (row) => ({ text: priceOf(row.price ?? row.trigger_price, row.symbol), sub: row.average_price === null ? "" : `avg ${priceOf(row.average_price, row.symbol)}` }),
  (row) => (row.average_price === null ? "–" : priceOf(row.average_price, row.symbol)),
  (row) => stateCell(row.status, row.status === "UNKNOWN" ? "Unknown, checking" : undefined),
  (row) => ({ text: sentence(reasons(row)) || "–", title: reasons(row), cls: "clip" }),
];

const fillColumns = [
  (row) => ({ text: timeOfDay(row.executed_at), title: row.executed_at }),
  (row) => ({ text: row.symbol, sub: timeOfDay(row.executed_at) }),
  (row) => ({ ...sideCell(row.side), sub: row.maker ? "Maker" : "Taker" }),
  (row) => quantityOf(row.quantity, row.symbol),
  (row) => ({ text: priceOf(row.price, row.symbol), sub: fee(row.fee, row.fee_asset) }),
  (row) => number(row.notional),
  (row) => fee(row.fee, row.fee_asset),
  (row) => (row.maker ? "Maker" : "Taker"),
];

export function mountOrders(host) {
  const panel = host.closest(".panel");
  const fillHost = panel.querySelector('[data-list="fills"]');
  const isTab = (name) => name === "fills" || name in TABS;
  const orders = new LiveTable(host, orderColumns, { empty: TABS.done.empty, onOpen: openOrder });
  const fills = new LiveTable(fillHost, fillColumns, { empty: NO_FILLS, onOpen: openFill });
  let tab = isTab(asked("tab")) ? asked("tab") : "done";
  const show = () => {
    const isFills = tab === "fills";
    host.hidden = isFills;
    fillHost.hidden = !isFills;
    const topic = topicState(isFills ? "fills" : "orders");
    if (!topic.known) return;
    if (isFills) fills.render([...topic.rows].sort(newest("executed_at")).slice(0, 200));
    else {
      orders.empty = TABS[tab].empty;
      orders.render([...topic.rows].filter(([, row]) => TABS[tab].pick(row)).sort(newest("created_at")).slice(0, 200));
    }
  };
  choose(panel.querySelector('[data-choices="tab"]'), tab, (chosen) => {
    tab = chosen;
    keep("tab", tab);
    show();
  });
  panel.querySelector('[data-action="cancel-all"]')?.addEventListener("click", cancelAll);
  show();
  knowInstruments().then(show);
  const ends = [listen("orders", () => tab !== "fills" && show()), listen("fills", () => tab === "fills" && show()), knowRuns()];
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

/** Whole times of the orders known here, in ns, shortest first; orders that never left are left out. */
export function pathTimes() {
  const left = [...topicState("orders").rows.values()].filter((row) => row.stages.send !== undefined);
  const whole = (stages) => stages.total ?? Object.values(stages).reduce((sum, ns) => sum + ns, 0);
  return left.map((row) => whole(row.stages)).sort((a, b) => a - b);
}

export const quantile = (sorted, q) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] : null);
