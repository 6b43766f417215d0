// A rebalance in words: what it found, what bound it, what conflicts, and what may be done about it.

import { number, percent, words } from "../core/format.js";
import { sentence } from "../core/text.js";

export const OPEN_RUNS = new Set(["pending", "running"]);
export const OPEN_WORK = new Set(["working", "cancelling"]);

const SETS = {
  lower: "the least of each weight",
  upper: "the most of each weight",
  net: "the sum of all weights",
  gross: "the sum of all sizes",
  turnover: "the most that may be traded",
  cash: "the cash that must stay",
};

/** "upper BTCUSDT" as "BTCUSDT at its most". */
export function bound(name) {
  const [kind, of] = name.split(/ (.*)/);
  if (of && kind === "upper") return `${of} at its most`;
  if (of && kind === "lower") return `${of} at its least`;
  if (of && kind === "group") return `group ${of}`;
  return SETS[kind] || name;
}

const setWords = (name) => SETS[name] || bound(name);

/** The conflict as two sentences: what cannot hold together, and the cheapest way out. */
export function conflictWords({ sets, give }) {
  const relax = Object.entries(give).map(([name, by]) => `${setWords(name)} by ${percent(by, 1)} of the equity`);
  const what = sentence(`${sets.map(setWords).join(" and ")} cannot hold together`);
  return relax.length ? `${what} ${sentence(`the closest book needs ${relax.join(" and ")} more room`)}` : what;
}

export const made = (run) => (run.outcome.trades || []).filter((trade) => trade.side);
export const quote = (run) => run.inputs.quote || "";

/** State for a pill: [tone, words]. */
export function standing(run) {
  if (run.execution) {
    const { state } = run.execution;
    const tones = { working: "neutral", cancelling: "warning", done: "passed", partial: "warning", failed: "failed", cancelled: "stopped" };
    return [tones[state], { working: "Trades under way", cancelling: "Being cancelled", done: "Trades done", partial: "Traded in part", failed: "Nothing traded", cancelled: "Cancelled" }[state]];
  }
  if (run.state === "done") return made(run).length ? ["warning", "Waits for approval"] : ["passed", "Nothing to trade"];
  return { pending: ["neutral", "Waits for the worker"], running: ["neutral", "Being computed"], refused: ["failed", "Old book kept"], failed: ["failed", "Failed"] }[run.state];
}

/** What came out, in a sentence. */
export function outcomeWords(run) {
  if (run.execution?.why) return sentence(run.execution.why);
  if (run.state === "pending") return "The worker on the backtest queue computes it next.";
  if (run.state === "running") return "History is read and the book is solved; seconds, as a rule.";
  if (run.state !== "done") return run.outcome.conflict ? conflictWords(run.outcome.conflict) : sentence(run.why);
  const trades = made(run).length;
  if (!trades) return run.outcome.due?.length ? "No trade is large enough for the venue." : "Every weight is within its band.";
  const share = run.outcome.statistics.turnover / 2;
  return `${trades} ${trades === 1 ? "trade" : "trades"}, ${number(run.cost)} ${quote(run)} of fees${Number.isFinite(share) ? `, ${percent(share, 1)} of the book` : ""}.`;
}

/** How long and how trades are worked. */
export const worked = ({ algorithm, duration_s }) => `${words(algorithm)} over ${number(duration_s / 60, 0, 1)} min each`;
