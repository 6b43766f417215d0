// The strip of key figures.

import { DASH, setClass, setText } from "../core/dom.js";
import { milliseconds, number, signed, span } from "../core/format.js";
import { ageOf, listen } from "../core/store.js";
import { level } from "../frame/header.js";
import { pathTimes, quantile } from "./orders.js";

const only = (rows) => rows.values().next().value;

export function mountKpis(host) {
  const show = (name, value, note = "", tone = "") => {
    const tile = host.querySelector(`[data-kpi="${name}"]`);
    if (!tile) return;
    const shown = typeof value === "string" ? { text: value, cls: "" } : value;
    setText(tile.querySelector(".kpi-value"), shown.text);
    setClass(tile.querySelector(".kpi-value"), `kpi-value ${tone || shown.cls}`);
    if (note) setText(tile.querySelector(".kpi-note"), note);
  };
  const ends = [
    listen("pnl", (rows) => showMoney(only(rows), show)),
    listen("risk", (rows) => showRisk(only(rows), show)),
    listen("feed", (rows) => showFeed([...rows.values()], show)),
    listen("orders", (rows) => {
      showOrders([...rows.values()], show);
      showPath(show);
    }),
    listen("incidents", (rows) => showIncidents([...rows.values()], show)),
  ];
  const timer = setInterval(() => grey(host), 1000);
  return () => {
    clearInterval(timer);
    ends.forEach((end) => end());
  };
}

const TOPIC_OF = {
  pnl: ["equity", "day_pnl", "pnl", "realised", "unrealised", "fees", "drawdown", "fills", "gross"],
  feed: ["feed"],
};

function grey(host) {
  for (const [topic, names] of Object.entries(TOPIC_OF)) {
    const state = level(ageOf(topic));
    for (const name of names) {
      const tile = host.querySelector(`[data-kpi="${name}"]`);
      if (tile && tile.dataset.state !== state) tile.dataset.state = state;
    }
  }
}

function showMoney(row, show) {
  if (!row) return;
  show("equity", number(row.equity), row.quote);
  show("day_pnl", signed(row.day_pnl), `${row.quote} since 00:00 UTC`);
  show("pnl", signed(row.pnl), `${row.quote} after fees`);
  show("realised", signed(row.realised), row.quote);
  show("unrealised", signed(row.unrealised), row.quote);
  show("fees", number(row.fees), `${row.quote} paid`);
  show("drawdown", number(row.drawdown), `${row.quote} below the peak`);
  show("fills", number(row.fills, 0), "since the books began");
  show("gross", number(row.gross));
}

function showRisk(row, show) {
  const use = row?.use?.gross;
  if (use?.fraction !== undefined) show("gross", number(use.used), `${(use.fraction * 100).toFixed(1)} % of ${number(use.limit, 0)}`);
}

function showFeed(rows, show) {
  const ages = rows.map((row) => row.age_ms).filter((age) => age !== null);
  const states = [...new Set(rows.map((row) => row.state))].join(", ").toLowerCase();
  const worst = ages.length ? Math.max(...ages) : null;
  const tone = { stale: "warn", dead: "bad" }[level(worst)] || "";
  show("feed", worst === null ? DASH : span(worst), rows.length ? `${rows.length} ${rows.length === 1 ? "instrument" : "instruments"}, ${states}` : "no instrument", tone);
}

function showOrders(rows, show) {
  const working = rows.filter((row) => row.open).length;
  const rejected = rows.filter((row) => row.status === "REJECTED" || row.status === "DENIED").length;
  const count = rows.length >= 200 ? `of the last ${rows.length}` : `of ${rows.length}`;
  show("orders", `${working} open`, `${rows.length - working} done`);
  show("rejects", number(rejected, 0), count, rejected ? "warn" : "");
}

function showIncidents(rows, show) {
  const open = rows.filter((row) => row.state !== "resolved");
  const fresh = open.filter((row) => row.state === "triggered").length;
  show("incidents", number(open.length, 0), fresh ? `${fresh} not acknowledged` : open.length ? "all acknowledged" : "none", fresh ? "bad" : "");
}

function showPath(show) {
  const times = pathTimes();
  const worst = quantile(times, 0.99);
  const note = times.length ? `budget 50 ms, ${times.length} orders` : "no order yet";
  show("latency", milliseconds(worst), note, worst > 50e6 ? "bad" : "");
}
