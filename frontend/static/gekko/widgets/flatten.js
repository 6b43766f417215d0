// Closing positions: what would be sent and what it is likely to cost, a typed word, a reason, a fresh code for exactly that.

import { Refused, get, keyOf, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { ask } from "../core/dialogs.js";
import { el } from "../core/dom.js";
import { number, priceOf, quantityOf } from "../core/format.js";
import { knowInstruments } from "../core/instruments.js";
import { mode, venue } from "../core/may.js";
import { activeRuns } from "../core/runs.js";
import { topicState } from "../core/store.js";
import { sentence } from "../core/text.js";

const PHRASE = `FLATTEN ${mode.toUpperCase()}`;

/** Ask about closing one position, or all of them without `symbol`. */
export async function flatten(symbol = "") {
  let shown;
  try {
    await knowInstruments();
    shown = await get(`trading/flatten/${symbol ? `?symbol=${encodeURIComponent(symbol)}` : ""}`);
  } catch (error) {
    toast(error.words || String(error), "bad");
    return;
  }
  const possible = shown.positions.filter((row) => !row.problem);
  const refusal = whyNot(shown, possible);
  if (refusal) {
    toast(refusal, "warn");
    return;
  }
  const key = keyOf();
  ask({
    title: symbol ? `Flatten ${symbol}` : "Flatten all positions",
    what: `Reduce-only orders go through the risk gate and take the market, for up to ${shown.patience_s} s. ${stillOn()}`,
    detail: el("div", {}, table(shown.positions), displaced(possible), costs(possible)),
    fields: [
      { name: "word", label: `Type ${PHRASE} to confirm` },
      { name: "reason", label: "Reason, for the audit trail" },
      { name: "code", label: "Fresh authenticator code", kind: "code" },
    ],
    confirm: symbol ? `Flatten ${symbol}` : "Flatten all",
    danger: true,
    act: (values) => send(shown, possible, values, key),
  });
}

function whyNot(shown, possible) {
  if (shown.halted) return "Trading is halted: no order leaves. Resume trading before closing positions";
  if (!shown.positions.length) return "Nothing is held: there is nothing to close";
  if (!possible.length) return `Nothing can be closed: ${shown.positions.map((row) => `${row.symbol}: ${row.problem}`).join("; ")}`;
  return "";
}

/** A strategy that goes on may buy again what was just sold. */
function stillOn() {
  const runs = activeRuns().map((run) => run.number);
  if (!runs.length) return "";
  if (runs.length === 1) return `Run ${runs[0]} stays on and may enter again; stop it first to stay out.`;
  return `Runs ${runs.join(" and ")} stay on and may enter again; stop them first to stay out.`;
}

const side = (row) => (row.side === "SELL" ? "Sell" : "Buy");

function table(rows) {
  const heads = [["Symbol"], ["Order"], ["Mark", true], ["Value", true]];
  const head = el("tr", {}, heads.map(([title, numeric]) => el("th", { scope: "col", class: numeric ? "num" : null }, title)));
  const lines = rows.map((row) =>
    row.problem
      ? el("tr", {}, el("td", {}, row.symbol), el("td", { colspan: 3, class: "hint wrap" }, sentence(row.problem)))
      : el(
          "tr",
          {},
          el("td", {}, row.symbol),
          el("td", {}, `${side(row)} ${quantityOf(row.quantity, row.symbol).trim()} ${row.base}${row.orders > 1 ? `, ${row.orders} orders or more` : ""}`),
          el("td", { class: "num" }, priceOf(row.mark, row.symbol)),
          el("td", { class: "num" }, number(row.value)),
        ),
  );
  return el("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "What would be sent" }, el("table", {}, el("thead", {}, head), el("tbody", {}, lines)));
}

/** Stops that rest at the venue, and other orders that hold the lots which are to be sold. */
function displaced(rows) {
  const count = rows.reduce((sum, row) => sum + row.displaced, 0);
  if (!count) return null;
  return el("p", { class: "warn" }, count === 1 ? "One open order on these lots is cancelled first." : `${count} open orders on these lots are cancelled first, stops too.`);
}

/** Fees at the taker's rate, and half the spread that is seen now. */
function costs(rows) {
  const quote = rows[0].quote;
  const known = rows.filter((row) => row.fee !== null);
  const fees = known.reduce((sum, row) => sum + Number(row.fee), 0);
  const spreads = rows.map(spreadCost);
  const text = [`Estimated cost: fee ${number(fees)} ${quote}`];
  if (spreads.every((cost) => cost !== null)) text.push(`half the spread ${number(spreads.reduce((sum, cost) => sum + cost, 0))} ${quote}`);
  const dust = rows.filter((row) => Number(row.remainder) > 0).map((row) => `${number(row.remainder, 0, 8)} ${row.base}`);
  return el("p", { class: "hint costs" }, `${text.join(", ")}.${dust.length ? ` Smaller than a lot, and left: ${dust.join(", ")}.` : ""}`);
}

function spreadCost(row) {
  const feed = [...topicState("feed").rows.values()].find((each) => each.symbol === row.symbol);
  if (!feed || feed.bid === null || feed.ask === null) return null;
  return (Number(row.quantity) * (Number(feed.ask) - Number(feed.bid))) / 2;
}

async function send(shown, possible, { word, reason, code }, key) {
  if (word.trim().toUpperCase() !== PHRASE) throw new Refused(0, { detail: `Type ${PHRASE} to confirm` });
  if (!reason.trim()) throw new Refused(0, { detail: "Give a reason: it goes into the audit trail" });
  if (!/^\d{6,8}$/.test(code.trim())) throw new Refused(0, { detail: "Enter the six digits that your authenticator shows" });
  const leave = { code: code.trim(), action: "trading.flatten", object_id: `${venue}:${shown.digest}` };
  const { grant } = await post("auth/step-up/", leave);
  const positions = possible.map((row) => ({ symbol: row.symbol, side: row.side, quantity: row.quantity }));
  const order = { venue, positions, reason: reason.trim() };
  await post("trading/flatten/", { ...order, grant }, { key: key(order) });
  toast("Ordered; the positions shrink here as the venue fills");
}
