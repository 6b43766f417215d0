// Charts: Dash draws what is recorded, this adds what is live, says it in words and shows it as a table.

import { byId, el, setText } from "../core/dom.js";
import { number, signed, timeOfDay } from "../core/format.js";
import { listen, topicState } from "../core/store.js";
import { asked, keep } from "../frame/nav.js";
import { choose } from "./orders.js";

// How often a range takes a live point, and how many points a line may have: together they span the range.
const RANGES = { "5m": { step: 500, longest: 600 }, "1h": { step: 2500, longest: 1500 }, "1d": { step: 60_000, longest: 1500 } };
const DEFAULT = "1h";
const LEAST_GAP_MS = 15_000;
const GAP_STEPS = 5;
const TABLE_ROWS = 60;

const VALUES = {
  net: (row) => [row.pnl],
  parts: (row) => [row.pnl, row.realised, row.unrealised, row.fees],
  drawdown: (row) => [-Number(row.drawdown)],
};

export function mountChart(host) {
  const id = host.dataset.chart;
  const values = VALUES[host.dataset.live];
  const range = () => RANGES[id === "overview-chart" ? DEFAULT : asked("range")] || RANGES[DEFAULT];
  let last = 0;
  const add = (rows) => {
    if (!drawn(id)) return;
    if (isCompared(id)) {
      setText(byId(`${id}-summary`), comparison(id));
      return;
    }
    const row = rows.values().next().value;
    const passed = row ? row.at_ms - last : 0;
    if (passed >= range().step && !stale(row)) {
      const missed = last && passed > Math.max(LEAST_GAP_MS, GAP_STEPS * range().step);
      last = row.at_ms;
      if (missed) redraw(id);
      else extend(id, row.at_ms, values(row).map(Number), range().longest);
    }
    setText(byId(`${id}-summary`), summary(id));
  };
  const toggle = host.querySelector("[data-table-of]");
  toggle.addEventListener("click", () => flip(id, toggle));
  const ends = [listen("pnl", add)];
  if (host.dataset.live === "parts") ends.push(markFills(id), ...markEvents(id));
  return () => ends.forEach((end) => end());
}

/** Executions that come while the page is open, where the net line is now. */
function markFills(id) {
  let seen = null;
  return listen("fills", (rows) => {
    const fresh = seen === null ? [] : [...rows].filter(([key]) => !seen.has(key));
    seen = new Set(rows.keys());
    if (!fresh.length || !drawn(id)) return;
    if (isCompared(id)) {
      redraw(id); // its lines are valued at executions
      return;
    }
    const line = plot(id).data;
    const level = line[0].y[line[0].y.length - 1];
    for (const [, fill] of fresh) {
      const index = line.findIndex((trace) => trace.name === (fill.side === "BUY" ? "Buys" : "Sells"));
      const text = `${fill.side} ${fill.quantity} ${fill.symbol} at ${fill.price}`;
      const point = { x: [[fill.executed_at]], y: [[level]], text: [[text]] };
      if (index >= 0) window.Plotly.extendTraces(plot(id), point, [index], 300);
    }
  });
}

/** Halts, deployments and incidents are marked by the server, which knows when they were: when one comes, draw again. */
function markEvents(id) {
  return ["halts", "deployments", "incidents"].map((topic) => {
    let seen = null;
    return listen(topic, (rows) => {
      const now = [...rows].map(([key, row]) => `${key}:${row.observed_state || row.state}`).join();
      if (seen !== null && seen !== now) redraw(id);
      seen = now;
    });
  });
}

/** Whether the chart compares strategies or instruments, which have a line each. */
const isCompared = (id) => id === "pnl-chart" && ["strategy", "instrument"].includes(asked("scope"));

function comparison(id) {
  const traces = plot(id).data.filter((trace) => trace.mode === "lines");
  if (!traces.length) return "Nothing was traded in this range.";
  const newest = traces.map((trace) => `${trace.name} ${signed(trace.y[trace.y.length - 1]).text}`);
  return `${newest.join("; ")}. Since the books began, valued at each one's own executions.`;
}

/** A value out of a snapshot may be of a loop that stopped long ago: it is no new point. */
const stale = (row) => Math.abs(topicState("pnl").asOf - row.at_ms) > 10_000;

const plot = (id) => byId(id)?.querySelector(".js-plotly-plot");

function drawn(id) {
  const node = plot(id);
  return Boolean(node && node.data && node.data.length && window.dash_clientside?.set_props);
}

function extend(id, at, values, longest) {
  const traces = values.map((_, index) => index);
  const x = values.map(() => [new Date(at).toISOString()]);
  const y = values.map((value) => [value]);
  window.dash_clientside.set_props(id, { extendData: [{ x, y }, traces, longest] });
}

/** After a pause (a cut line, a hidden tab, a stopped loop) the server draws again what it recorded meanwhile. */
function redraw(id) {
  const store = id === "overview-chart" ? "overview-range" : "pnl-range";
  const range = id === "overview-chart" ? DEFAULT : asked("range") || DEFAULT;
  window.dash_clientside?.set_props(store, { data: range });
}

/** Newest, lowest and highest of the first line. */
function summary(id) {
  const trace = plot(id).data[0];
  const known = trace.y.filter((value) => value !== null);
  if (!known.length) return "Nothing is recorded in this range yet.";
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const newest = signed(known[known.length - 1]).text;
  return `${trace.name} ${newest}; lowest ${number(low)}, highest ${number(high)}, from ${timeOfDay(trace.x[0])} to ${timeOfDay(trace.x[trace.x.length - 1])} UTC.`;
}

function flip(id, toggle) {
  const place = byId(`${id}-table`);
  const show = place.hidden;
  place.hidden = !show;
  toggle.setAttribute("aria-expanded", String(show));
  toggle.textContent = show ? "Hide table" : "Show as table";
  if (show) place.replaceChildren(asTable(id));
}

function asTable(id) {
  const lines = (plot(id)?.data || []).filter((trace) => trace.mode === "lines");
  if (!lines.length || !lines[0].x.length) return el("p", { class: "hint" }, "Nothing is recorded in this range yet.");
  const head = el("tr", {}, el("th", { scope: "col" }, "Time, UTC"), lines.map((line) => el("th", { scope: "col", class: "num" }, line.name)));
  const from = Math.max(0, lines[0].x.length - TABLE_ROWS);
  const rows = lines[0].x.slice(from).map((at, index) =>
    el("tr", {}, el("td", {}, timeOfDay(at)), lines.map((line) => el("td", { class: "num" }, number(line.y[from + index])))),
  );
  return el(
    "div",
    { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Chart as a table" },
    el("table", {}, el("thead", {}, head), el("tbody", {}, rows.reverse())),
  );
}

/** The range of the P&L page: kept in the address, told to Dash, which draws again. */
export function mountRange(group) {
  const current = asked("range") in RANGES ? asked("range") : DEFAULT;
  choose(group, current, (range) => {
    keep("range", range);
    window.dash_clientside.set_props("pnl-range", { data: range });
  });
}

const SCOPES = ["desk", "strategy", "instrument", "venue"];

/** The scope of the P&L page: kept in the address, told to Dash and to the attribution beside it. */
export function mountScope(group) {
  const current = SCOPES.includes(asked("scope")) ? asked("scope") : SCOPES[0];
  choose(group, current, (scope) => {
    keep("scope", scope);
    window.dash_clientside.set_props("pnl-scope", { data: scope });
    window.dispatchEvent(new CustomEvent("gekko:scope", { detail: scope }));
  });
}
