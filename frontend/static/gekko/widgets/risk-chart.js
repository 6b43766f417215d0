// Charts of risk reports: the server draws them again with every report; here they get their words and their table.

import { byId, el, setText } from "../core/dom.js";
import { number, timeOfDay } from "../core/format.js";
import { listen } from "../core/store.js";

const TABLE_ROWS = 60;
const WAIT_MS = 1000;

const plot = (id) => byId(id)?.querySelector(".js-plotly-plot");

export function mountRiskChart(host) {
  const id = host.dataset.chart;
  const toggle = host.querySelector("[data-table-of]");
  toggle.addEventListener("click", () => flip(id, toggle));
  let newest = 0;
  const end = listen("risk_report", (rows) => {
    const version = rows.values().next().value?.version || 0;
    if (version === newest || !window.dash_clientside?.set_props) return;
    if (newest) window.dash_clientside.set_props("var-range", { data: version });
    newest = version;
  });
  const timer = setInterval(() => setText(byId(`${id}-summary`), summary(id)), WAIT_MS);
  return () => {
    clearInterval(timer);
    end();
  };
}

function lines(id) {
  return (plot(id)?.data || []).filter((trace) => trace.mode.startsWith("lines"));
}

/** Newest value of each line, in words. */
function summary(id) {
  const drawn = lines(id);
  const known = drawn.filter((trace) => trace.y.some((value) => value !== null));
  if (!drawn.length) return "Loading the series";
  if (!known.length) return "No report in the last day has a number.";
  const last = (trace) => [...trace.y].reverse().find((value) => value !== null);
  const breaches = plot(id).data.find((trace) => trace.name === "Breaches");
  const count = breaches?.x.length;
  const counted = breaches ? `; ${count} ${count === 1 ? "breach" : "breaches"}` : "";
  return `${known.map((trace) => `${trace.name} ${number(last(trace))}`).join(", ")}${counted}.`;
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
  const drawn = lines(id);
  if (!drawn.length || !drawn[0].x.length) return el("p", { class: "hint" }, "No report is recorded in the last day.");
  const head = el("tr", {}, el("th", { scope: "col" }, "Time, UTC"), drawn.map((line) => el("th", { scope: "col", class: "num" }, line.name)));
  const from = Math.max(0, drawn[0].x.length - TABLE_ROWS);
  const rows = drawn[0].x.slice(from).map((at, index) =>
    el("tr", {}, el("td", {}, timeOfDay(at)), drawn.map((line) => el("td", { class: "num" }, number(line.y[from + index])))),
  );
  return el(
    "div",
    { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Chart as a table" },
    el("table", {}, el("thead", {}, head), el("tbody", {}, rows.reverse())),
  );
}
