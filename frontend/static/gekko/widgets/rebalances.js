// Rebalances: the runs, the one chosen with its weights and trades, approving it, and how far its orders are.

import { get, keyOf, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { ask } from "../core/dialogs.js";
import { DASH, el, message } from "../core/dom.js";
import { dateTime, number, percent, priceOf, quantityOf, since, timeOfDay, words } from "../core/format.js";
import { knowInstruments } from "../core/instruments.js";
import { leave } from "../core/leave.js";
import { may } from "../core/may.js";
import { listen, serverNow, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { sentence } from "../core/text.js";
import { asked, keep } from "../frame/nav.js";
import { facts, pill, sideCell } from "./cells.js";
import { openParent } from "./parents.js";
import { book, follow, keepRun } from "./rebalance-topic.js";
import { OPEN_WORK, bound, conflictWords, made, outcomeWords, quote, standing, worked } from "./rebalance-words.js";

const EMPTY = { title: "No book was asked for yet", text: "Ask for one: target weights are computed from history, and nothing is sent before somebody approves it." };
const CHOSEN = "gekko:rebalance";

export function choose(id) {
  keep("run", id);
  window.dispatchEvent(new CustomEvent(CHOSEN));
}

export function mountRebalances(host) {
  const columns = [
    (run) => ({ text: `${since(run.requested_at, serverNow())} ago`, title: `${dateTime(run.requested_at)} UTC` }),
    (run) => ({ text: words(run.method), sub: outcomeWords(run), cls: "wrap" }),
    (run) => ({ node: () => pill(...standing(run)), key: standing(run).join() }),
    (run) => (run.state === "done" ? String(made(run).length) : DASH),
    (run) => (run.state !== "done" ? DASH : `${number(run.cost)} ${quote(run)}`),
    (run) => (run.schedule ? "standing policy" : run.requested_by),
    (run) => ({ text: outcomeWords(run), title: outcomeWords(run), cls: "clip" }),
  ];
  const table = new LiveTable(host, columns, { empty: EMPTY, onOpen: choose });
  return follow((found, error) => {
    if (found) table.render(found.runs.map((run) => [run.id, run]));
    else table.say("Rebalances may not be shown", error, "error");
  });
}

export function mountRebalance(host) {
  let shown = "";
  const show = (found, error) => {
    if (!found) {
      host.replaceChildren(message("Rebalances may not be shown", error, "error"));
      return;
    }
    const { runs } = found;
    const run = runs.find((one) => one.id === asked("run")) || runs[0];
    const mark = JSON.stringify([run && rival(run)?.number, run?.id, run?.version, run?.execution, progressMark(run)]);
    if (mark === shown) return;
    shown = mark;
    host.replaceChildren(...(run ? card(run, run === runs[0]) : [message(EMPTY.title, EMPTY.text)]));
  };
  const again = () => book() && show(book(), "");
  window.addEventListener(CHOSEN, again);
  knowInstruments().then(() => ((shown = ""), again()));
  const ends = [follow(show), listen("parents", again), listen("parent_progress", again), listen("deployments", again), listen("orders", () => {})];
  return () => {
    window.removeEventListener(CHOSEN, again);
    ends.forEach((end) => end());
  };
}

const parentOf = (leg) => topicState("parents").rows.get(leg.parent_id);
/** How much of a leg is filled, by what is newest: the live progress of its parent, its parent's record, or its own. */
function filled(leg) {
  const live = topicState("parent_progress").rows.get(leg.parent_id)?.filled;
  const recorded = Math.max(Number(leg.filled_quantity ?? 0), Number(parentOf(leg)?.filled_quantity ?? 0)) / Number(leg.quantity);
  return leg.state === "working" && live ? Math.max(recorded, live * (Number(leg.sent_quantity) / Number(leg.quantity))) : recorded;
}
const progressMark = (run) => run?.execution?.legs.map((leg) => [filled(leg).toFixed(3), Boolean(parentOf(leg))]);

function card(run, newest) {
  return [
    el("p", { class: "row" }, el("strong", {}, words(run.method)), pill(...standing(run)), el("span", { class: "hint" }, `${dateTime(run.requested_at)} UTC by ${run.schedule ? `the standing policy of ${run.requested_by}` : run.requested_by}${newest ? "" : "; not the newest"}`)),
    el("p", { class: ["refused", "failed"].includes(run.state) ? "bad" : "" }, outcomeWords(run)),
    run.outcome.conflict && run.execution ? el("p", { class: "bad" }, conflictWords(run.outcome.conflict)) : null,
    against(run),
    short(run) ? el("p", { class: "warn" }, `Learned from ${number(run.inputs.bars, 0)} bars only; ${number(run.policy.bars, 0)} were asked for.`) : null,
    run.outcome.targets ? weights(run) : null,
    run.execution ? legs(run) : made(run).length ? trades(run) : null,
    run.outcome.status ? proof(run) : null,
    actions(run),
  ].filter(Boolean);
}

/** Too little history to trust: less than half of what was asked for. */
const short = (run) => run.inputs.bars && run.inputs.bars < run.policy.bars / 2;

/** A strategy that runs keeps to its own target: what is bought here it may sell again. */
function rival(run) {
  const symbols = new Set(made(run).map((trade) => trade.symbol));
  const runs = [...topicState("deployments").rows.values()].filter((one) => one.plan && !["stopped", "failed"].includes(one.state));
  return runs.find((one) => (one.plan.instruments || []).some((symbol) => symbols.has(symbol)));
}

const rivalWords = (other) => `Run ${other.number} (${other.plan.strategy}) trades the same instruments and keeps to its own target: it may trade against this. Stop it first to keep the new book.`;

function against(run) {
  const open = run.state === "done" && (!run.execution || OPEN_WORK.has(run.execution.state));
  const other = open ? rival(run) : null;
  return other ? el("p", { class: "warn" }, rivalWords(other)) : null;
}

function scrolled(title, heads, rows) {
  const head = el("tr", {}, heads.map(([text, cls]) => el("th", { scope: "col", class: cls }, text)));
  return el("div", { class: "table-scroll", tabindex: 0, role: "group", "aria-label": title }, el("table", {}, el("caption", { class: "visually-hidden" }, title), el("thead", {}, head), el("tbody", {}, rows)));
}

const num = (text) => el("td", { class: "num" }, text);

/** Now, wanted and after the trades, per instrument; the bar shows after, its mark now. */
function weights(run) {
  const { current, targets, weights: optimal } = run.outcome;
  const line = (symbol) => {
    const target = targets[symbol];
    return el("tr", {}, el("th", { scope: "row" }, symbol), num(percent(current[symbol], 1)), num(percent(optimal[symbol], 1)), num(percent(target.weight, 1)), num(quantityOf(target.quantity, symbol)), el("td", {}, weightBar(current[symbol], target.weight)));
  };
  const rows = Object.keys(targets).sort((a, b) => Math.abs(targets[b].weight) - Math.abs(targets[a].weight)).map(line);
  const rest = (of) => percent(1 - Object.keys(targets).reduce((sum, symbol) => sum + of(symbol), 0), 1);
  rows.push(el("tr", {}, el("th", { scope: "row" }, "Cash"), num(rest((symbol) => current[symbol])), num(rest((symbol) => optimal[symbol])), num(rest((symbol) => targets[symbol].weight)), num(`${number(run.outcome.cash)} ${quote(run)}`), el("td", {})));
  return scrolled("Weights", [["Weights"], ["Now", "num"], ["Target", "num"], ["After", "num"], ["Held after", "num"], ["Drawn"]], rows);
}

function weightBar(now, after) {
  const place = (weight) => `${(Math.min(1, Math.abs(weight)) * 100).toFixed(1)}%`;
  const bar = el("span", { class: "bar plan", "aria-hidden": "true", title: "Bar: after; mark: now" }, el("span", { class: "bar-fill" }), el("span", { class: "bar-mark" }));
  bar.firstElementChild.style.width = place(after);
  bar.lastElementChild.style.left = place(now);
  return bar;
}

function trades(run) {
  const line = (trade) => {
    const side = trade.side ? sideCell(trade.side) : { text: "None", cls: "hint" };
    return el("tr", {}, el("th", { scope: "row" }, trade.symbol), el("td", { class: side.cls }, side.text), num(quantityOf(trade.quantity, trade.symbol)), num(number(trade.notional)), num(trade.side ? number(trade.cost) : DASH), el("td", { class: "wrap hint" }, sentence(trade.why)));
  };
  return scrolled("Proposed trades", [["Trades"], ["Side"], ["Quantity", "num"], [`Value, ${quote(run)}`, "num"], ["Fee", "num"], ["Note"]], run.outcome.trades.map(line));
}

const LEGS = { waiting: ["neutral", "Waiting"], working: ["neutral", "Working"], done: ["passed", "Done"], partial: ["warning", "In part"], failed: ["failed", "Not done"], cancelled: ["stopped", "Cancelled"] };

/** The approved trades with what is done of each; a click opens its parent order. */
function legs(run) {
  const line = (leg) => {
    const side = sideCell(leg.side), share = filled(leg);
    const bar = el("span", { class: "bar plan", "aria-hidden": "true" }, el("span", { class: "bar-fill" }));
    bar.firstElementChild.style.width = `${(Math.min(1, share) * 100).toFixed(1)}%`;
    const name = parentOf(leg) ? el("button", { type: "button", class: "link", on: { click: () => openParent(leg.parent_id) } }, leg.symbol) : leg.symbol;
    return el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: side.cls }, side.text), num(quantityOf(leg.quantity, leg.symbol)), num(priceOf(leg.limit_price, leg.symbol)), el("td", {}, el("span", { class: "plan-cell" }, bar, el("span", { class: "bar-text" }, percent(share, 0)))), el("td", {}, pill(...LEGS[leg.state])), el("td", { class: "wrap hint" }, sentence(leg.why)));
  };
  return scrolled("Trades of the rebalance", [["Trades"], ["Side"], ["Quantity", "num"], ["At worst", "num"], ["Done"], ["State"], ["Note"]], run.execution.legs.map(line));
}

const lost = (inputs) => Object.values(inputs.left_out || {}).reduce((sum, count) => sum + count, 0);

function proof(run) {
  const { binding, due, drift, statistics, certificate, status } = run.outcome;
  const { inputs, execution } = run;
  return facts([
    ["What binds", status === "optimal" ? binding.map(bound).join(", ") || "nothing: the book is free of its limits" : null],
    ["Why now", due.length ? `${due.join(", ")}; ${percent(drift, 2)} away from target` : null],
    ["Volatility a year", status === "optimal" ? percent(statistics.volatility, 1) : null],
    ["Learned from", inputs.bars ? `${number(inputs.bars, 0)} bars of ${inputs.interval}${lost(inputs) ? `, ${number(lost(inputs), 0)} left out that not all had` : ""}` : null],
    ["Proof", certificate ? `gap ${certificate.gap.toExponential(1)}, violation ${certificate.violation.toExponential(1)}` : null],
    ["Approved", execution ? `${dateTime(execution.approved_at)} UTC by ${execution.approved_by}: ${sentence(execution.reason)}` : null],
    ["Cancelled", execution?.cancel_by ? `by ${execution.cancel_by}: ${sentence(execution.cancel_reason)}` : null],
    ["Over", execution?.finished_at ? `${dateTime(execution.finished_at)} UTC` : null],
  ]);
}

function actions(run) {
  const made_ = [];
  if (!run.execution && run.state === "done" && made(run).length && may("trading.order")) made_.push(el("button", { type: "button", class: "button primary", on: { click: (event) => approve(run, event.currentTarget) } }, "Approve and send"));
  if (run.execution?.state === "working" && may("trading.cancel")) made_.push(el("button", { type: "button", class: "button danger", on: { click: () => cancel(run) } }, "Cancel the rest"));
  return made_.length ? el("div", { class: "row end" }, made_) : null;
}

/** What would be sent is asked of the server at this moment: the code is for exactly that. */
async function approve(run, button) {
  button.disabled = true;
  try {
    const proposal = await get(`rebalances/${run.id}/proposal/`);
    if (proposal.problem) toast(`It cannot be approved: ${proposal.problem}`, "bad");
    else sign(run, proposal);
  } catch (error) {
    toast(error.words || String(error), "bad");
  } finally {
    button.disabled = false;
  }
}

function sign(run, proposal) {
  const key = keyOf();
  const line = (trade) => {
    const side = sideCell(trade.side);
    return el("tr", {}, el("th", { scope: "row" }, trade.symbol), el("td", { class: side.cls }, side.text), num(quantityOf(trade.quantity, trade.symbol)), num(priceOf(trade.limit_price, trade.symbol)));
  };
  ask({
    title: `Send ${proposal.trades.length} ${proposal.trades.length === 1 ? "order" : "orders"}`,
    what: `${worked(proposal)}, sells first where buys need their cash; ${number(proposal.cost)} ${proposal.quote} of fees. The code is for exactly this, until ${timeOfDay(proposal.expires_at)} UTC.`,
    detail: el("div", { class: "stack" }, rival(run) ? el("p", { class: "warn" }, rivalWords(rival(run))) : null, scrolled("Orders to send", [["Symbol"], ["Side"], ["Quantity", "num"], ["At worst", "num"]], proposal.trades.map(line))),
    fields: [
      { name: "reason", label: "Reason, for the audit trail" },
      { name: "code", label: "Fresh authenticator code", kind: "code" },
    ],
    confirm: "Approve and send",
    danger: true,
    act: async ({ reason, code }) => {
      const order = { reason: reason.trim() };
      const grant = await leave(code, "trading.rebalance", `${proposal.venue}:${proposal.digest}`);
      keepRun(await post(`rebalances/${run.id}/approve/`, { ...order, grant }, { key: key({ ...order, digest: proposal.digest }) }));
      toast("Approved; its orders are on their way to the loop");
    },
  });
}

function cancel(run) {
  const key = keyOf();
  ask({
    title: "Cancel the rest of the rebalance",
    what: "Nothing more is sent for it and its parent orders end. What was traded stays as it is.",
    fields: [{ name: "reason", label: "Reason, for the audit trail" }],
    confirm: "Cancel the rest",
    danger: true,
    act: async ({ reason }) => {
      const order = { reason: reason.trim() };
      keepRun(await post(`rebalances/${run.id}/cancel/`, order, { key: key(order) }));
      toast("Ordered; its parent orders end as the venue confirms");
    },
  });
}
