// Strategies: what is registered, what runs now and what it made.

import { get } from "../core/api.js";
import { el, message } from "../core/dom.js";
import { drawer } from "../core/dialogs.js";
import { number } from "../core/format.js";
import { may } from "../core/may.js";
import { activeRuns } from "../core/runs.js";
import { listen, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { facts, gain, pill } from "./cells.js";
import { shareOf, startStrategy } from "./strategy-start.js";

const strategyOf = (run) => run.plan?.strategy || "";
const isOn = (name) => activeRuns().some((run) => strategyOf(run) === name);

export function mountStrategyRunning(host) {
  let shown = "";
  const show = () => {
    const runs = activeRuns();
    const profit = topicState("pnl").rows.values().next().value;
    const mark = runs.length ? `${runs.map((run) => `${run.id}:${run.version}`).join()}:${profit?.pnl}:${profit?.fees}` : "none";
    if (mark === shown) return;
    shown = mark;
    host.replaceChildren(runs.length ? cards(runs, profit) : message("Nothing runs", "Start a strategy below; what it makes shows here."));
  };
  const ends = [listen("deployments", show), listen("pnl", show)];
  return () => ends.forEach((end) => end());
}

/** Every run with its parameters, then what the account makes of all of them together. */
function cards(runs, profit) {
  const net = profit ? gain(profit.pnl) : null;
  return el(
    "div",
    {},
    runs.map(runFacts),
    facts([
      [runs.length > 1 ? "Net P&L of all" : "Net P&L", net ? el("span", { class: net.cls }, net.text) : ""],
      ["Realised", profit ? number(profit.realised) : ""],
      ["Unrealised", profit ? number(profit.unrealised) : ""],
      ["Fees", profit ? number(profit.fees) : ""],
    ]),
    el("div", { class: "row" }, el("a", { class: "button quiet inner", href: runs.length > 1 ? "/pnl/?scope=strategy" : "/pnl/" }, "P&L in detail")),
  );
}

function runFacts(run) {
  const params = run.plan?.params || {};
  return el(
    "div",
    {},
    el("p", { class: "row" }, el("strong", {}, strategyOf(run) || "Unknown strategy"), pill(run.state), el("span", { class: "hint" }, `Run ${run.number}`)),
    facts([
      ["Instruments", (run.plan?.instruments || []).join(", ")],
      ["Capital share", shareOf(run)],
      ["Parameters", Object.entries(params).map(([name, value]) => `${name} ${value}`).join(", ") || "defaults"],
    ]),
  );
}

export function mountStrategies(host) {
  const known = new Map();
  const columns = [
    (row) => ({ text: row.name, cls: "mono" }),
    (row) => ({ text: row.summary, title: row.summary, cls: "wrap" }),
    (row) => row.hooks.map((hook) => hook.replace("on_", "")).join(", "),
    (row) => String(row.params.length),
    (row) => (row.built_in ? "Built in" : "Your folder"),
    (row) => ({ node: () => (isOn(row.name) ? pill("healthy", "Running") : pill("neutral", "Not running")), key: `${isOn(row.name)}` }),
  ];
  const table = new LiveTable(host, columns, {
    empty: { title: "No strategy is registered", text: "docs/strategies.md shows how to write one." },
    onOpen: (key) => open(known.get(key)),
  });
  const show = () => known.size && table.render([...known]);
  get("strategies/").then(
    (cards) => {
      for (const one of cards) known.set(one.name, one);
      table.render([...known]);
    },
    (error) => table.say("Strategies could not be read", error.words || String(error), "error"),
  );
  return listen("deployments", show);
}

function open(row) {
  if (!row) return;
  const head = el("tr", {}, ["Parameter", "Type", "Default", "Allowed"].map((title) => el("th", { scope: "col" }, title)));
  const allowed = (one) => (one.choices.length ? one.choices.join(", ") : one.bounds);
  const lines = row.params.map((one) => el("tr", {}, el("th", { scope: "row" }, one.name), [one.type, String(one.default), allowed(one)].map((text) => el("td", {}, text))));
  drawer(
    row.name,
    el("p", {}, row.summary),
    row.detail ? el("p", { class: "hint" }, row.detail.replaceAll("``", "")) : null,
    el("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Parameters" }, el("table", {}, el("thead", {}, head), el("tbody", {}, lines))),
    facts([["Hears", row.hooks.join(", ")], ["Forecasts", row.uses_forecasts ? "needs a model" : "uses none"]]),
    el(
      "div",
      { class: "row" },
      el("a", { class: "button primary", href: `/backtests/?strategy=${row.name}` }, "Backtest it"),
      may("deployments.start") ? el("button", { type: "button", class: "button quiet", on: { click: () => startStrategy(row) } }, "Start it") : null,
    ),
  );
}
