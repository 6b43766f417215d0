// Strategies: what is registered, what runs now and what it made.

import { get } from "../core/api.js";
import { el, message } from "../core/dom.js";
import { drawer } from "../core/dialogs.js";
import { number } from "../core/format.js";
import { listen, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { facts, gain, pill } from "./cells.js";

const OVER = new Set(["stopped", "failed"]);

/** The newest run that is not over; null when nothing runs. */
function current() {
  const runs = [...topicState("deployments").rows.values()].sort((a, b) => b.number - a.number);
  return runs.find((row) => !OVER.has(row.state)) || null;
}

const strategyOf = (run) => run?.plan?.strategy || "";

export function mountStrategyRunning(host) {
  let shown = "";
  const show = () => {
    const run = current();
    const profit = topicState("pnl").rows.values().next().value;
    const mark = run ? `${run.id}:${run.version}:${profit?.pnl}:${profit?.fees}` : "none";
    if (mark === shown) return;
    shown = mark;
    host.replaceChildren(run ? card(run, profit) : message("Nothing runs", "Start a release; its strategy and what it makes show here."));
  };
  const ends = [listen("deployments", show), listen("pnl", show)];
  return () => ends.forEach((end) => end());
}

function card(run, profit) {
  const net = profit ? gain(profit.pnl) : null;
  const params = run.plan?.params || {};
  return el(
    "div",
    {},
    el("p", { class: "row" }, el("strong", {}, strategyOf(run) || "Unknown strategy"), pill(run.state)),
    facts([
      ["Parameters", Object.entries(params).map(([name, value]) => `${name} ${value}`).join(", ") || "defaults"],
      ["Net P&L", net ? el("span", { class: net.cls }, net.text) : ""],
      ["Realised", profit ? number(profit.realised) : ""],
      ["Unrealised", profit ? number(profit.unrealised) : ""],
      ["Fees", profit ? number(profit.fees) : ""],
    ]),
    el("div", { class: "row" }, el("a", { class: "button quiet inner", href: "/pnl/" }, "P&L in detail")),
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
    (row) => ({ node: () => (strategyOf(current()) === row.name ? pill("healthy", "Running") : pill("neutral", "Not running")), key: `${strategyOf(current()) === row.name}` }),
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
    el("div", { class: "row" }, el("a", { class: "button primary", href: `/backtests/?strategy=${row.name}` }, "Backtest it")),
  );
}
