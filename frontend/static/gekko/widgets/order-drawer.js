// Everything that is known of one order: why it was made, how it was judged, how long it took, what it cost.

import { get, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { byId, el, message } from "../core/dom.js";
import { ask, drawer } from "../core/dialogs.js";
import { average, dateTime, fee, milliseconds, number, priceOf, quantityOf, timeOfDay, words } from "../core/format.js";
import { may, venue } from "../core/may.js";
import { listen, topicState } from "../core/store.js";
import { sentence } from "../core/text.js";
import { bar, facts, pill } from "./cells.js";

export const BUDGET_NS = 50e6;
const LABELS = { receive: "Receive", decode: "Decode", book: "Book", signal: "Signal", risk: "Risk gate", journal: "Journal", send: "Send" };

/** Open the drawer for an order; it follows the order until it is closed. */
export async function openOrder(clientId) {
  const parts = { row: topicState("orders").rows.get(clientId), trace: null, error: "" };
  let closed = false;
  // An answer that comes after the drawer was closed must not open it again.
  const draw = () => parts.row && !closed && drawer(title(parts.row), ...sections(parts));
  const read = async () => {
    try {
      parts.row ||= await get(`trading/orders/${encodeURIComponent(clientId)}/`);
      parts.trace = await get(`trading/orders/${encodeURIComponent(clientId)}/trace/`);
    } catch (error) {
      parts.error = error.words || String(error);
    }
    draw();
  };
  let end = () => undefined;
  const close = () => {
    closed = true;
    end();
  };
  byId("drawer").addEventListener("close", close, { once: true });
  draw();
  await read();
  if (closed) return;
  if (!parts.row) {
    drawer("Order", message("The order could not be read", parts.error, "error"));
    return;
  }
  end = listen("orders", (rows) => {
    const now = rows.get(clientId);
    if (!now || now.version === parts.row.version) return;
    parts.row = now;
    read();
  });
}

const title = (row) => `${row.side === "BUY" ? "Buy" : "Sell"} ${quantityOf(row.quantity, row.symbol).trim()} ${row.symbol}`;

const section = (heading, ...content) => el("section", {}, el("h3", {}, heading), content.flat().filter(Boolean));

function sections({ row, trace, error }) {
  const filled = `${quantityOf(row.filled_quantity, row.symbol).trim()} of ${quantityOf(row.quantity, row.symbol).trim()} filled`;
  const at = row.average_price === null ? "" : ` at ${average(row.average_price)}`;
  const why = row.reasons.map((reason) => el("li", {}, sentence(reason.text), " ", el("code", {}, reason.code)));
  return [
    el("p", { class: "row" }, pill(row.status), el("span", { class: "hint" }, filled + at)),
    cancelling(row),
    why.length ? section("Why it was refused", el("ul", { class: "reasons" }, why)) : null,
    error ? message("Details could not be read", error, "error") : null,
    section("What happened", timeline(row)),
    trace?.fills.length ? section("Fills", fillTable(row, trace)) : null,
    trace ? section("Risk verdict", verdict(row, trace)) : null,
    trace && trace.latency.stages.length ? section("Latency, against a budget of 50 ms", times(trace.latency)) : null,
    trace?.signal.length ? section("Signal", signal(row, trace)) : null,
    section("Order", orderFacts(row, trace)),
  ];
}

/** A child of a parent is sent again by its parent: that is what must be ended. */
function cancelling(row) {
  if (!row.open || row.parent_id || !may("trading.cancel")) return null;
  return el("button", { class: "button danger", type: "button", on: { click: () => cancel(row) } }, "Cancel this order");
}

function cancel(row) {
  ask({
    title: "Cancel this order",
    what: `${title(row)}. The venue is told to cancel it; what it has filled stays. The strategy may order again.`,
    fields: [{ name: "reason", label: "Reason, for the audit trail" }],
    confirm: "Cancel order",
    danger: true,
    act: async ({ reason }) => {
      await post("trading/cancel/", { venue, client_id: row.client_id, reason });
      toast("Cancelling ordered; the order ends as the venue confirms");
    },
  });
}

function timeline(row) {
  const first = Date.parse(row.timeline[0]?.at);
  const steps = row.timeline.map((step) =>
    el(
      "li",
      {},
      el("time", { datetime: step.at, title: step.at }, `${timeOfDay(step.at)}.${new Date(step.at).toISOString().slice(20, 23)}`),
      el("strong", {}, words(step.what)),
      step.detail ? el("span", {}, step.detail) : null,
      Date.parse(step.at) > first ? el("span", { class: "hint" }, `+${number(Date.parse(step.at) - first, 0)} ms`) : null,
    ),
  );
  return el("ol", { class: "timeline" }, steps);
}

/** A small table; `columns` are [title, is a number]. */
function small(label, columns, rows) {
  const head = columns.map(([name, numeric]) => el("th", { scope: "col", class: numeric ? "num" : null }, name));
  const lines = rows.map((cells) => el("tr", {}, cells.map((cell, index) => el("td", { class: columns[index][1] ? "num" : null }, cell))));
  return el("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": label }, el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, lines)));
}

function fillTable(row, trace) {
  const columns = [["Time"], ["Quantity", true], ["Price", true], ["Fee", true], ["Liquidity"]];
  const rows = trace.fills.map((fill) => [
    timeOfDay(fill.executed_at),
    quantityOf(fill.quantity, row.symbol),
    priceOf(fill.price, row.symbol),
    fee(fill.fee, fill.fee_asset),
    fill.maker ? "Maker" : "Taker",
  ]);
  return [small("Fills of this order", columns, rows), trace.fees.length ? el("p", { class: "hint" }, `Fee in all: ${trace.fees.map(({ asset, amount }) => fee(amount, asset)).join(", ")}`) : null];
}

const UNITS = { quote: (value) => number(value), base: (value) => number(value, 0, 8), ms: (value) => `${number(value, 0, 1)} ms`, "": (value) => number(value, 0) };

/** What the gate compared, number by number, with the limit that it was held against. */
function verdict(row, trace) {
  const [state, text] = trace.passed ? ["passed", "Passed"] : ["DENIED", "Refused"];
  const limits = trace.limits_version ? `by limits version ${trace.limits_version}` : "with no limits in force";
  const head = el("p", { class: "row" }, pill(state, text), el("span", { class: "hint" }, limits));
  if (!trace.numbers.length) return [head, el("p", { class: "hint" }, "The numbers it was judged by were not recorded.")];
  const rows = trace.numbers.map((entry) => [entry.label, UNITS[entry.unit](entry.value), entry.limit === null ? "–" : UNITS[entry.unit](entry.limit)]);
  return [head, small("Numbers of the verdict", [["Judged by"], [`Value, ${trace.quote}`, true], ["Limit", true]], rows)];
}

/** A bar for each measured stage, their sum, and the venue's answer. */
export function times({ stages, total_ns: total, venue_ns: answered }) {
  const lines = stages.map(({ stage, ns }) => bar(LABELS[stage] || words(stage), milliseconds(ns), ns / BUDGET_NS));
  const sum = bar("Until it left", milliseconds(total), total / BUDGET_NS);
  const venue = answered === null ? null : el("p", { class: "hint" }, `The venue answered ${milliseconds(answered)} later.`);
  return el("div", {}, lines, sum, venue);
}

function signal(row, trace) {
  const text = (value) => (typeof value === "number" ? String(Number(value.toPrecision(6))) : words(value));
  return facts([
    ["Strategy", trace.strategy],
    ...trace.signal.map((entry) => [entry.label, text(entry.value)]),
    ["Forecast", row.forecast_id],
    ["Model", row.model_digest.slice(0, 12)],
  ]);
}

/** The run by its number, leading to where it is shown. */
function runLink(row) {
  const run = topicState("deployments").rows.get(row.run_id);
  if (!row.run_id) return "";
  return el("a", { href: "/#deployment", class: "inner" }, run ? `Run ${run.number}` : row.run_id);
}

function orderFacts(row, trace) {
  return facts([
    ["Type", `${words(row.order_type)} ${row.tif}${row.reduce_only ? ", reduce only" : ""}`],
    ["Venue", row.execution_venue],
    ["Limit price", row.price === null ? "" : priceOf(row.price, row.symbol).trim()],
    ["Waits for", row.trigger_price === null ? "" : priceOf(row.trigger_price, row.symbol).trim()],
    ["Held by", row.held_by ? `the ${row.held_by}` : ""],
    ["Emulated", row.emulated_why],
    ["Released by", row.origin],
    ["In place of", row.replaces],
    ["Ends at", row.expires_at ? `${dateTime(row.expires_at)} UTC` : ""],
    ["Average price", row.average_price === null ? "" : average(row.average_price)],
    [row.held_by === "venue" && row.origin ? "Judged at" : "Market price then", row.reference_price === null ? "" : priceOf(row.reference_price, row.symbol).trim()],
    ["Run", runLink(row)],
    ["Strategy", trace?.signal.length ? "" : trace?.strategy],
    ["Created", `${dateTime(row.created_at)} UTC`],
    ["Ended", row.ended_at ? `${dateTime(row.ended_at)} UTC` : "still open"],
    ["Client id", row.client_id],
    ["Venue id", row.venue_order_id],
    ["Limits", row.limits_version ? `version ${row.limits_version}` : ""],
  ]);
}

/** Runs are named by number: their topic is asked for once. */
export function knowRuns() {
  return listen("deployments", () => undefined);
}

