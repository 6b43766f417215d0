// Positions at their marks, with the age of each instrument's market data.

import { el } from "../core/dom.js";
import { holding, number, priceOf, span } from "../core/format.js";
import { instrument, knowInstruments } from "../core/instruments.js";
import { listen } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { gain } from "./cells.js";
import { flatten } from "./flatten.js";

const bySymbol = ([, a], [, b]) => a.symbol.localeCompare(b.symbol);

export function mountPositions(host) {
  const feeds = new Map();
  const feedCell = (row) => {
    const feed = feeds.get(row.symbol);
    if (!feed) return "–";
    const late = feed.state !== "LIVE" ? "bad" : feed.age_ms > 2000 ? "warn" : "";
    return { text: feed.state === "LIVE" ? span(feed.age_ms) : feed.state.toLowerCase(), cls: late, title: feed.detail };
  };
  const closing = host.dataset.closing === "yes";
  if (closing) host.closest(".panel").querySelector('[data-action="flatten-all"]').addEventListener("click", () => flatten());
  const closeCell = (row) => ({ key: `${row.symbol}:${closable(row)}`, node: () => closeButton(row) });
  const table = new LiveTable(
    host,
    [
      (row) => row.symbol,
      (row) => ({ text: holding(row.quantity), cls: Number(row.quantity) < 0 ? "down" : "" }),
      (row) => priceOf(row.average_price, row.symbol),
      (row) => priceOf(row.mark, row.symbol),
      (row) => number(row.value),
      (row) => gain(row.unrealised),
      (row) => gain(row.realised),
      feedCell,
      ...(closing ? [closeCell] : []),
    ],
    { empty: { title: "No positions", text: "The loop shows its instruments here once a deployment runs." } },
  );
  let rows = new Map();
  knowInstruments();
  const show = () => table.render([...rows].sort(bySymbol));
  const ends = [
    listen("positions", (now) => {
      rows = now;
      show();
    }),
    listen("feed", (now) => {
      for (const row of now.values()) feeds.set(row.symbol, row);
      if (rows.size) show();
    }),
  ];
  return () => ends.forEach((end) => end());
}

/** Whether what is held is a lot at least: less than that no venue takes. */
function closable(row) {
  const places = instrument(row.symbol)?.quantity ?? 8;
  return Math.abs(Number(row.quantity)) * 10 ** places >= 1;
}

function closeButton(row) {
  if (!closable(row)) return el("span");
  const which = el("span", { class: "visually-hidden" }, ` ${row.symbol}`);
  return el("button", { type: "button", class: "button small", on: { click: () => flatten(row.symbol) } }, "Flatten", which);
}
