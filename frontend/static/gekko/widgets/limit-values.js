// Limits as they are typed and as they are kept: text to value and back, and what differs between two versions.

import { el } from "../core/dom.js";
import { number } from "../core/format.js";

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);
const listed = (text) => text.split(/[\s,]+/).filter(Boolean);

/** A line as [name, rest]; a plain Error says how it is written. */
function pair(line, how) {
  const at = line.indexOf("=");
  if (at < 1 || !line.slice(at + 1).trim()) throw new Error(`write ${how}, not “${line}”`);
  return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
}

function pairs(text, how, read = (value) => value) {
  const found = {};
  for (const line of lines(text)) {
    const [name, rest] = pair(line, how);
    if (name in found) throw new Error(`${name} is there twice`);
    found[name] = read(rest);
  }
  return found;
}

/** Counts are numbers in the limits of a scope, amounts are text. */
const COUNTS = new Set(["max_open_orders", "max_orders_per_day"]);
const whole = (text) => (/^\d+$/.test(text) ? Number(text) : text);

function scopesOf(text) {
  const found = {};
  for (const line of lines(text)) {
    const [scope, ...parts] = line.split(/\s+/);
    if (!parts.length) throw new Error(`write scope name=value, such as venue:paper max_gross_notional=5000, not “${line}”`);
    const limits = parts.map((part) => pair(part, "name=value"));
    found[scope] = { ...found[scope], ...Object.fromEntries(limits.map(([name, value]) => [name, COUNTS.has(name) ? whole(value) : value])) };
  }
  return found;
}

/** How each kind is written down, and read again. Reading raises Error in words. */
export const KINDS = {
  decimal: { show: String, read: (text) => text.trim().replace(/(?<=\d),(?=\d{3}\b)/g, "") },
  whole: { show: String, read: (text) => whole(text.trim().replace(/(?<=\d),(?=\d{3}\b)/g, "")) },
  flag: { show: (value) => (value ? "yes" : "no"), read: (text) => text === "yes" },
  moment: { show: String, read: (text) => text.trim() },
  names: { show: (value) => value.join(", "), read: listed, empty: [] },
  amounts: {
    show: (value) => Object.entries(value).map(([name, amount]) => `${name} = ${amount}`).join("\n"),
    read: (text) => pairs(text, "name = amount"),
    empty: {},
    rows: true,
    hint: "One a line: BTCUSDT = 0.5.",
  },
  desks: {
    show: (value) => Object.entries(value).map(([desk, members]) => `${desk} = ${members.join(", ")}`).join("\n"),
    read: (text) => pairs(text, "desk = strategy, strategy", listed),
    empty: {},
    rows: true,
    hint: "One a line: main = ema_cross, mean_reversion.",
  },
  scopes: {
    show: (value) => Object.entries(value).map(([scope, limits]) => `${scope} ${Object.entries(limits).map(([name, amount]) => `${name}=${amount}`).join(" ")}`).join("\n"),
    read: scopesOf,
    empty: {},
    rows: true,
    hint: "One a line: strategy:ema_cross max_gross_notional=5000 max_daily_loss=200.",
  },
};

/** Text of a value for people, in one line; an absent one is said to be so. */
export function shown(field, value) {
  if (value === undefined) return "not set";
  const kind = KINDS[field.kind];
  if (field.kind === "decimal" || field.kind === "whole") return `${Number.isFinite(Number(value)) ? number(value, 0, 8) : value}`;
  return kind.show(value).replaceAll("\n", "; ") || "none";
}

/** Fields in which two sets of limits differ: [field, before, after]. */
export function changes(fields, before, after) {
  const same = (one, two) => JSON.stringify(one) === JSON.stringify(two);
  return fields.map((field) => [field, before?.[field.name], after[field.name]]).filter(([, one, two]) => !same(one, two));
}

/** A table of what would change, or the words that nothing would. */
export function diff(fields, before, after, title) {
  const found = changes(fields, before, after);
  if (!found.length) return el("p", { class: "hint" }, `Nothing differs from ${title[0].toLowerCase()}${title.slice(1)}.`);
  const head = el("tr", {}, ["Limit", title, "This version"].map((text) => el("th", { scope: "col" }, text)));
  const line = ([field, one, two]) =>
    el("tr", {}, el("th", { scope: "row", class: "wrap" }, label(field.name)), el("td", { class: "was" }, shown(field, one)), el("td", { class: "is" }, shown(field, two)));
  const table = el("table", { class: "diff" }, el("caption", { class: "visually-hidden" }, "What would change"), el("thead", {}, head), el("tbody", {}, found.map(line)));
  return el("div", { class: "table-scroll", tabindex: 0, role: "group", "aria-label": "What would change" }, table);
}

/** A limit's name in words: the unit stands beside its field. */
export function label(name) {
  const text = name.replace(/_(bps|ms|s)$/, "").replaceAll("_", " ").replace(/\bqty\b/, "quantity").replace(/\bvar\b/, "value at risk");
  return text[0].toUpperCase() + text.slice(1);
}
