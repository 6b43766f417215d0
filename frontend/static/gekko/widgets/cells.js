// Cells that several tables share.

import { el } from "../core/dom.js";
import { signed, words } from "../core/format.js";

const GOOD = new Set(["FILLED", "healthy", "online", "passed", "ready", "success", "LIVE", "up", "resolved"]);
const BAD = new Set(["REJECTED", "DENIED", "failed", "lost", "denied", "critical", "down", "triggered", "offline", "STALE"]);
const WARN = new Set(["UNKNOWN", "EXPIRED", "warning", "acknowledged", "stopping", "stopped", "retired", "BREAK", "silent"]);

export function tone(state) {
  if (GOOD.has(state)) return "good";
  if (BAD.has(state)) return "bad";
  return WARN.has(state) ? "warn" : "neutral";
}

/** A state as a word with a shape and a colour. */
export function pill(state, text = words(state)) {
  return el("span", { class: `pill ${tone(state)}` }, text);
}

export const stateCell = (state, text) => ({ node: () => pill(state, text), key: `${state}|${text ?? ""}` });

export const sideCell = (side) => ({
  text: side === "BUY" ? "▲ Buy" : "▼ Sell",
  cls: side === "BUY" ? "up" : "down",
});

export const gain = (value, places = 2) => signed(value, places);

/** Label and value lines. */
export function facts(pairs) {
  const lines = pairs
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  return el("dl", { class: "facts" }, lines);
}

/** A bar for a share of something between 0 and 1, with its words beside it. */
export function bar(label, text, fraction, kind = "") {
  const share = Math.max(0, Math.min(1, fraction || 0));
  const level = kind || (share >= 0.9 ? "bad" : share >= 0.7 ? "warn" : "");
  const meter = el("span", { class: `bar ${level}`, "aria-hidden": "true" }, el("span", { class: "bar-fill" }));
  meter.firstElementChild.style.width = `${(share * 100).toFixed(1)}%`;
  return el("div", { class: "bar-row" }, el("span", { class: "bar-label" }, label), meter, el("span", { class: "bar-text" }, text));
}
