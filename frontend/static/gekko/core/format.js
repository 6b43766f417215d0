// Numbers come as decimal strings and are shown without arithmetic where possible; null means unknown and shows a dash.

import { DASH } from "./dom.js";
import { instrument, widest } from "./instruments.js";

const cache = new Map();

function formatter(least, most) {
  const key = `${least}:${most}`;
  if (!cache.has(key)) {
    const options = { minimumFractionDigits: least, maximumFractionDigits: most };
    cache.set(key, new Intl.NumberFormat("en-US", options));
  }
  return cache.get(key);
}

const known = (value) => value !== null && value !== undefined && value !== "" && Number.isFinite(Number(value));

/** With thousands separators; `places` decimals, or between the two given. */
export function number(value, least = 2, most = least) {
  if (!known(value)) return DASH;
  const rounded = Number(Number(value).toFixed(Math.min(most, 12))) || 0;
  return formatter(least, most).format(rounded).replace("-", "−");
}

/** With sign and arrow, so that direction never depends on colour: {text, cls}. */
export function signed(value, places = 2) {
  if (!known(value)) return { text: DASH, cls: "" };
  const rounded = Number(Number(value).toFixed(places));
  if (rounded === 0) return { text: formatter(places, places).format(0), cls: "flat" };
  const size = formatter(places, places).format(Math.abs(rounded));
  return rounded > 0 ? { text: `▲ +${size}`, cls: "up" } : { text: `▼ −${size}`, cls: "down" };
}

/** A price with as many decimals as it came with. */
export function price(value) {
  if (!known(value)) return DASH;
  const places = Math.min(8, (String(value).split(".")[1] || "").length);
  return number(value, Math.max(2, places));
}

/** As wide as a digit, invisible: it keeps decimal points of different precision below each other. */
const BLANK = "\u2007";

function onGrid(value, symbol, what, least) {
  const places = instrument(symbol)[what];
  const missing = widest(what) - places;
  // A point that nobody needs is as wide as one that stands there.
  const pad = BLANK.repeat(missing) + (places === 0 && missing ? BLANK : "");
  return number(value, Math.max(least, places)) + pad;
}

/** A price of `symbol` with the decimals of its grid, lined up with those of other instruments. */
export function priceOf(value, symbol) {
  return known(value) && instrument(symbol) ? onGrid(value, symbol, "price", 0) : price(value);
}

/** A quantity of `symbol` with the decimals of its lot, lined up with those of other instruments. */
export function quantityOf(value, symbol) {
  return known(value) && instrument(symbol) ? onGrid(value, symbol, "quantity", 0) : quantity(value);
}

/** What is held, with the eight decimals that fees leave behind. */
export function holding(value) {
  return known(value) ? number(value, Number(value) === 0 ? 0 : 8) : DASH;
}

/** An average, with as many decimals as prices of its size have. */
export function average(value) {
  if (!known(value)) return DASH;
  const size = Math.abs(Number(value));
  return number(value, 2, size >= 10 ? 2 : size >= 0.1 ? 5 : 8);
}

/** An amount of any asset: four digits that count. */
export function fee(value, asset) {
  if (!known(value)) return DASH;
  const size = Math.abs(Number(value));
  const places = size === 0 ? 2 : Math.min(8, Math.max(2, 3 - Math.floor(Math.log10(size))));
  return `${number(value, 2, places)} ${asset}`;
}

export function quantity(value) {
  return known(value) ? number(value, 0, 8) : DASH;
}

export function percent(fraction, places = 1) {
  return known(fraction) ? `${number(Number(fraction) * 100, places)} %` : DASH;
}

export function bytes(value) {
  if (!known(value)) return DASH;
  const [size, unit] = [[2 ** 30, "GiB"], [2 ** 20, "MiB"]].find(([least]) => Number(value) >= least) || [2 ** 10, "KiB"];
  return `${number(Number(value) / size, 1)} ${unit}`;
}

export function milliseconds(ns) {
  if (!known(ns)) return DASH;
  const ms = Number(ns) / 1e6;
  return `${number(ms, ms < 10 ? 2 : 1)} ms`;
}

/** A span of time in its largest unit: 840 ms, 12 s, 5 min, 3 h, 2 d. */
export function span(ms) {
  if (!known(ms)) return DASH;
  const value = Math.max(0, Number(ms));
  if (value < 1000) return `${Math.round(value)} ms`;
  if (value < 10_000) return `${(value / 1000).toFixed(1)} s`;
  if (value < 90_000) return `${Math.round(value / 1000)} s`;
  if (value < 5_400_000) return `${Math.round(value / 60_000)} min`;
  if (value < 129_600_000) return `${Math.round(value / 3_600_000)} h`;
  return `${Math.round(value / 86_400_000)} d`;
}

/** Hours, minutes and seconds; seconds only in the last hour. */
export function countdown(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  const [hours, minutes] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return hours ? `${hours} h ${minutes} min` : `${minutes}:${String(s % 60).padStart(2, "0")}`;
}

/** Time of day in UTC. */
export function timeOfDay(iso) {
  const at = new Date(iso);
  return iso && !Number.isNaN(at.getTime()) ? at.toISOString().slice(11, 19) : DASH;
}

export function dateTime(iso) {
  const at = new Date(iso);
  return iso && !Number.isNaN(at.getTime()) ? `${at.toISOString().slice(0, 10)} ${at.toISOString().slice(11, 19)}` : DASH;
}

/** How long ago, in whole seconds at least. */
export function since(iso, now) {
  if (!iso) return DASH;
  const ms = Math.max(1000, now - new Date(iso).getTime());
  return span(ms < 10_000 ? Math.round(ms / 1000) * 1000 : ms).replace(".0 s", " s");
}

/** How well a person was proven. */
export function factor(mfa) {
  return { none: DASH, otp: "Code at sign-in", step_up: "Fresh code" }[mfa] || words(mfa);
}

export function words(code) {
  const text = String(code || "").replaceAll("_", " ").toLowerCase();
  return text ? text[0].toUpperCase() + text.slice(1) : DASH;
}

/** A browser's name out of its long description. */
export function device(agent) {
  const name = [/Edg\//, /Firefox\//, /Chrome\//, /Safari\//].find((pattern) => pattern.test(agent));
  const labels = { "/Edg\\//": "Edge", "/Firefox\\//": "Firefox", "/Chrome\\//": "Chrome", "/Safari\\//": "Safari" };
  const system = ["Windows", "Android", "iPhone", "iPad", "Mac OS", "Linux"].find((word) => agent.includes(word));
  if (!name) return agent ? agent.slice(0, 40) : "Unknown device";
  return system ? `${labels[String(name)]} on ${system}` : labels[String(name)];
}
