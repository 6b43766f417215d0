// The risk page: value at risk every way, against its limit, by position, under stress, and whether it was right.

import { DASH, el, message, setClass, setText } from "../core/dom.js";
import { number, percent, since, span, timeOfDay, words } from "../core/format.js";
import { listen, serverNow } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { bar, facts, gain, pill } from "./cells.js";

const LATE_STEPS = 3;
const CHECK_MS = 5000;
export const NONE = { title: "No risk report yet", text: "The control worker makes one a minute, once a trading session began." };
const REFUSED = { title: "Risk reports may not be shown", text: "Your role does not let you read trading records." };

/** Tell `show` of the newest report (null before the first), also every few seconds, as it grows old. */
export function reports(show) {
  let newest = null;
  let refused = false;
  const tell = () => show(newest, refused);
  const end = listen("risk_report", (rows, topic) => {
    newest = rows.values().next().value || null;
    refused = Boolean(topic.error);
    tell();
  });
  const timer = setInterval(tell, CHECK_MS);
  return () => {
    clearInterval(timer);
    end();
  };
}

export const ageMs = (report) => Math.max(0, serverNow() - new Date(report.at).getTime());
const late = (report) => ageMs(report) > LATE_STEPS * report.step_s * 1000;
export const money = (value) => (value === null || value === undefined ? DASH : number(value, 2));

/** In place of content: no right to it, or nothing there yet; null when there is a report. */
function absent(report, refused) {
  if (refused) return message(REFUSED.title, REFUSED.text, "error");
  return report ? null : message(NONE.title, NONE.text);
}

function horizon(report) {
  const days = report.horizon_s / 86_400;
  return days >= 1 ? `${number(days, 0)} d` : span(report.horizon_s * 1000);
}

export function mountRiskKpis(host) {
  const put = (name, text, note = "", tone = "") => {
    const tile = host.querySelector(`[data-kpi="${name}"]`);
    setText(tile.querySelector(".kpi-value"), text);
    setClass(tile.querySelector(".kpi-value"), `kpi-value ${tone}`);
    setText(tile.querySelector(".kpi-note"), note || "\u00a0");
  };
  return reports((report, refused) => {
    if (!report) {
      put("age", refused ? "no permission" : "none yet");
      return;
    }
    const sure = percent(report.confidence, 0);
    const use = report.var_limit && report.var !== null ? Number(report.var) / Number(report.var_limit) : null;
    const spread = report.exposure.concentration;
    put("var", money(report.var), `${sure}, ${horizon(report)}, ${report.quote}`);
    put("es", money(report.es), "mean loss beyond it");
    put("var_use", use === null ? DASH : percent(use, 1), report.var_limit ? `limit ${money(report.var_limit)}` : "no limit is published", use === null ? "" : use >= 1 ? "bad" : use >= 0.8 ? "warn" : "");
    put("gross", money(report.exposure.gross), report.quote);
    put("net", money(report.exposure.net), report.quote);
    put("largest", spread.largest || DASH, spread.largest ? `${percent(spread.largest_share, 0)} of gross` : "nothing is held");
    put("breaches", String(report.backtest.failures), `${number(report.backtest.expected, 1)} expected of ${report.backtest.count}`);
    put("age", since(report.at, serverNow()), late(report) ? "late: is the control worker up?" : `at ${timeOfDay(report.at)} UTC`, late(report) ? "bad" : "");
  });
}

export function mountVarLimit(host) {
  let shown = "";
  return reports((report, refused) => {
    const mark = JSON.stringify([report?.at, refused, report && late(report)]);
    if (mark === shown) return;
    shown = mark;
    host.replaceChildren(absent(report, refused) || limitLine(report));
  });
}

function limitLine(report) {
  if (report.status !== "ok") return message("No value at risk", report.detail, "error");
  const limit = report.var_limit;
  const basis = `${number(report.periods, 0)} bars of ${span(report.interval_s * 1000)}, scaled by the root of time × ${number(report.scaled_by, 1)}`;
  return el(
    "div",
    {},
    limit
      ? bar("Against the limit", `${money(report.var)} / ${money(limit)}`, Number(report.var) / Number(limit))
      : el("p", { class: "hint" }, "No limit on value at risk is published. A risk officer sets it under ", el("a", { href: "/limits/", class: "inner" }, "Limits"), "."),
    el("p", { class: late(report) ? "warn" : "hint" }, late(report) ? `This report is ${span(ageMs(report))} old.` : basis),
  );
}

export function mountVarMethods(host) {
  const columns = [
    (row) => ({ text: row.headline ? `${row.label} (limits use it)` : row.label, cls: row.headline ? "strong" : "" }),
    (row) => money(row.var),
    (row) => money(row.es),
    (row) => ({ text: row.detail, cls: "wrap hint" }),
  ];
  const table = new LiveTable(host, columns, { empty: { title: "No value at risk", text: "There is too little price history yet." } });
  return reports((report, refused) => {
    if (!report) table.say(...(refused ? [REFUSED.title, REFUSED.text, "error"] : [NONE.title, NONE.text]));
    else table.render(report.methods.map((row) => [row.name, { ...row, headline: row.name === report.headline }]));
  });
}

export function mountComponents(host) {
  const columns = [
    (row) => row.symbol,
    (row) => money(row.value),
    (row) => percent(row.of_gross, 0),
    (row) => ({ text: `${money(row.var)} · ${percent(row.share, 0)}`, cls: Number(row.var) < 0 ? "up" : "" }),
    (row) => money(row.alone),
  ];
  const table = new LiveTable(host, columns, { empty: { title: "Nothing is held", text: "Positions show here with their part of the risk." } });
  return reports((report, refused) => {
    if (!report) {
      table.say(...(refused ? [REFUSED.title, REFUSED.text, "error"] : [NONE.title, NONE.text]));
      return;
    }
    const gross = Number(report.exposure.gross) || 1;
    table.render(report.components.map((row) => [row.symbol, { ...row, of_gross: Math.abs(Number(row.value)) / gross }]));
  });
}

export function mountExposure(host) {
  let shown = "";
  return reports((report, refused) => {
    const mark = `${report?.at}|${refused}`;
    if (mark === shown) return;
    shown = mark;
    host.replaceChildren(absent(report, refused) || exposureCard(report.exposure));
  });
}

const listed = (sums) => Object.entries(sums).map(([name, value]) => `${name} ${money(value)}`).join(", ") || "none";

function exposureCard(found) {
  const spread = found.concentration;
  return facts([
    ["Long · short", `${money(found.long)} · ${money(found.short)} ${found.quote}`],
    ["By currency", listed(found.currencies)],
    ["By venue", listed(found.venues)],
    ["Concentration", spread.largest ? `${number(spread.herfindahl, 3)}; as ${number(spread.effective, 1)} equal positions` : "nothing is held"],
  ]);
}

export function mountStress(host) {
  let shown = "";
  return reports((report, refused) => {
    const mark = `${report?.at}|${refused}`;
    if (mark === shown) return;
    shown = mark;
    host.replaceChildren(absent(report, refused) || stressTable(report));
  });
}

function stressTable(report) {
  const symbols = [...new Set(report.stress.flatMap((row) => Object.keys(row.positions)))].sort();
  const heads = ["Scenario", "Profit or loss", ...symbols, "Note"];
  const side = (title) => (title === "Scenario" || title === "Note" ? "" : "num");
  const money2 = (value, tag = "td") => {
    const shown = value === null || value === undefined ? { text: DASH, cls: "" } : gain(value);
    return el(tag, { class: `num ${shown.cls}` }, shown.text);
  };
  const line = (row) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, row.name),
      row.outcome === "no data" ? el("td", { class: "num" }, pill("UNKNOWN", "no data")) : money2(row.total),
      symbols.map((symbol) => money2(row.positions[symbol])),
      el("td", { class: "wrap hint" }, row.outcome === "partial" ? `${words(row.outcome)}: ${row.detail}` : row.detail),
    );
  const head = el("tr", {}, heads.map((title) => el("th", { scope: "col", class: side(title) }, title)));
  const table = el("table", {}, el("caption", { class: "visually-hidden" }, "Stress scenarios by position"), el("thead", {}, head), el("tbody", {}, report.stress.map(line)));
  return el("div", { class: "table-scroll", tabindex: 0, role: "group", "aria-label": "Stress scenarios" }, table);
}

const ZONES = { green: "passed", yellow: "warning", red: "failed" };

export function mountCoverage(host) {
  let shown = "";
  return reports((report, refused) => {
    const mark = `${report?.at}|${refused}`;
    if (mark === shown) return;
    shown = mark;
    host.replaceChildren(absent(report, refused) || coverageCard(report));
  });
}

function coverageCard(report) {
  const found = report.backtest;
  if (!found.zone) return message("Not enough reports yet", "Each report is compared with what came of the one before; two comparisons are the least.");
  const test = (one) => (one ? `${number(one.statistic, 2)}, p = ${number(one.p_value, 3)}` : DASH);
  const last = found.exceedances.slice(0, 5).map((one) => `${timeOfDay(one.at)} ${money(one.pnl)}`);
  return facts([
    ["Basel zone", pill(ZONES[found.zone], found.zone)],
    ["Breaches", `${found.failures} of ${found.count}; ${number(found.expected, 1)} expected`],
    ["Kupiec, coverage", test(found.kupiec)],
    ["Christoffersen, independence", test(found.christoffersen)],
    ["Both together", test(found.conditional)],
    ["Newest breaches", last.join(", ") || "none"],
  ]);
}
