// Parent orders: how far each is against its schedule, its children, a new one, and its end.

import { post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { ask, drawer } from "../core/dialogs.js";
import { el } from "../core/dom.js";
import { number, percent, priceOf, quantityOf, timeOfDay, words } from "../core/format.js";
import { knowInstruments } from "../core/instruments.js";
import { may } from "../core/may.js";
import { listen, put, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { sentence } from "../core/text.js";
import { facts, sideCell, stateCell } from "./cells.js";
import { costsOf } from "./parent-costs.js";
import { newParent, parameterText } from "./parent-form.js";
import { openOrder } from "./order-drawer.js";
import { routesOf } from "./parent-routes.js";

const SHOWN = 30;
const EMPTY = { title: "No parent orders yet", text: "Large orders are worked over time: their children show among the orders." };

const progressOf = (row) => topicState("parent_progress").rows.get(row.parent_id) || {};
const done = (row) => (row.open ? progressOf(row).filled ?? row.filled : row.filled) ?? 0;
const due = (row) => (row.open ? progressOf(row).scheduled ?? null : null);
const why = (row) => (row.open && !row.cancel_requested ? progressOf(row).why || row.detail : row.detail) || row.reason;
const timed = (row) => `${timeOfDay(row.starts_at)}${row.ends_at ? ` to ${timeOfDay(row.ends_at)}` : ""}`;

/** What is done as a bar, with a mark where the schedule is. */
function progress(row) {
  const fraction = Math.min(1, done(row)), planned = due(row);
  const bar = el("span", { class: `bar plan ${planned !== null && fraction < planned - 0.1 ? "warn" : ""}`, "aria-hidden": "true" }, el("span", { class: "bar-fill" }));
  bar.firstElementChild.style.width = `${(fraction * 100).toFixed(1)}%`;
  if (planned !== null) {
    const mark = el("span", { class: "bar-mark" });
    mark.style.left = `${(Math.min(1, planned) * 100).toFixed(1)}%`;
    bar.append(mark);
  }
  const text = planned === null ? percent(fraction, 0) : `${percent(fraction, 0)} of ${percent(planned, 0)} due`;
  return el("span", { class: "plan-cell" }, bar, el("span", { class: "bar-text" }, text));
}

const columns = [
  (row) => ({ text: timed(row), title: row.starts_at }),
  (row) => ({ text: row.symbol, sub: words(row.algorithm) }),
  (row) => sideCell(row.side),
  (row) => words(row.algorithm),
  (row) => quantityOf(row.quantity, row.symbol),
  (row) => ({ node: () => progress(row), key: `${done(row)}|${due(row)}` }),
  (row) => (row.average_price === null ? "–" : priceOf(row.average_price, row.symbol)),
  (row) => stateCell(row.status, row.open && row.cancel_requested ? "Ending" : undefined),
  (row) => ({ text: sentence(why(row)) || "–", title: why(row), cls: "clip" }),
];

const newest = ([, a], [, b]) => Number(b.open) - Number(a.open) || (a.requested_at < b.requested_at ? 1 : -1);

export function mountParents(host) {
  const panel = host.closest(".panel");
  const table = new LiveTable(host, columns, { empty: EMPTY, onOpen: openParent });
  const show = () => {
    const topic = topicState("parents");
    if (topic.known) table.render([...topic.rows].sort(newest).slice(0, SHOWN));
  };
  panel.querySelector('[data-action="new-parent"]')?.addEventListener("click", newParent);
  knowInstruments().then(show);
  const ends = [listen("parents", show), listen("parent_progress", show), listen("orders", () => {})];
  return () => ends.forEach((end) => end());
}

export function openParent(parentId) {
  const row = topicState("parents").rows.get(parentId);
  const children = [...topicState("orders").rows].filter(([, order]) => order.parent_id === parentId);
  const list = children.sort(([, a], [, b]) => (a.created_at < b.created_at ? 1 : -1)).map(([key, order]) => child(key, order));
  const ending = row.open && !row.cancel_requested && may("trading.cancel");
  drawer(
    `${words(row.algorithm)} ${row.side === "BUY" ? "buy" : "sell"} ${quantityOf(row.quantity, row.symbol).trim()} ${row.symbol}`,
    facts([
      ["State", words(row.status)],
      ["Why", why(row) === row.reason ? null : sentence(why(row))],
      ["Done", `${quantityOf(row.filled_quantity, row.symbol).trim()} (${percent(done(row), 1)})`],
      ["Schedule", due(row) === null ? null : percent(due(row), 1)],
      ["Average price", row.average_price === null ? null : priceOf(row.average_price, row.symbol)],
      ["Price at decision", row.arrival_price === null ? null : priceOf(row.arrival_price, row.symbol)],
      ["Limit price", row.limit_price === null ? null : priceOf(row.limit_price, row.symbol)],
      ["Fees", Number(row.fees) ? number(row.fees, 2, 8) : null],
      ["Time", timed(row)],
      ["Asked by", row.by],
      ["Reason", sentence(row.reason)],
      ["Parameters", parameterText(row.params)],
      ["Routed", row.route ? "Over all venues of the pair" : null],
      ["Children", String(row.children)],
    ]),
    ending ? el("button", { class: "button danger", type: "button", on: { click: () => end(row) } }, "End this parent order") : null,
    costsOf(row),
    routesOf(row),
    el("h3", {}, "Children"),
    list.length ? el("ul", { class: "plain-list" }, list) : el("p", { class: "hint" }, "None among the newest orders."),
  );
}

function child(key, order) {
  const where = order.execution_venue === order.venue ? "" : ` at ${order.execution_venue}`;
  const text = `${timeOfDay(order.created_at)} ${quantityOf(order.quantity, order.symbol).trim()}${where} at ${priceOf(order.price, order.symbol)}, ${words(order.status).toLowerCase()}`;
  return el("li", {}, el("button", { class: "link", type: "button", on: { click: () => openOrder(key) } }, text));
}

function end(row) {
  ask({
    title: "End parent order",
    what: "Nothing more is sent for it from this moment on, and its open children are cancelled. What was done stays.",
    fields: [{ name: "reason", label: "Reason, for the audit trail" }],
    confirm: "End it",
    danger: true,
    act: async ({ reason }) => {
      const changed = await post(`parents/${row.parent_id}/cancel/`, { reason });
      put("parents", row.parent_id, changed);
      toast("Ordered; the children end as the venue confirms");
    },
  });
}
