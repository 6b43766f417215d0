// How many decimals each instrument's prices and quantities have, asked once: so that columns of numbers line up.

import { get } from "./api.js";

const known = new Map();
let asked = null;

const decimals = (step) => (String(step).split(".")[1] || "").length;

/** Ask for the instruments once; resolves when they are known, or cannot be now: then numbers show as they come. */
export function knowInstruments() {
  asked ||= get("trading/instruments/?limit=500").then(
    (page) => page.results.forEach((row) => known.set(row.symbol, { price: decimals(row.tick), quantity: decimals(row.lot), base: row.base, quote: row.quote })),
    () => {
      asked = null;
    },
  );
  return asked;
}

/** {price, quantity, base, quote} of a symbol, or null. */
export const instrument = (symbol) => known.get(symbol) || null;

/** All symbols in order. */
export const symbols = () => [...known.keys()].sort();

/** The most decimals of any instrument, so that points of a column stand below each other. */
export function widest(what) {
  return Math.max(0, ...[...known.values()].map((row) => row[what]));
}
