// Backtests: the form, the runs with their progress, and several of them side by side.

import { get, keyOf, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { DASH, el, message } from "../core/dom.js";
import { drawer } from "../core/dialogs.js";
import { dateTime, number, percent, since } from "../core/format.js";
import { may } from "../core/may.js";
import { listen, put, serverNow, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { asked } from "../frame/nav.js";
import { facts, pill } from "./cells.js";

const MOST_COMPARED = 6;
const chosen = new Set();
const CHOSEN = "gekko:compare";
const OPEN = new Set(["queued", "running"]);
const TONE = { done: "success", failed: "failed", cancelled: "stopped", queued: "neutral", running: "neutral" };

const figure = (row, name, show) => (row.summary && row.summary[name] !== null && row.summary[name] !== undefined ? show(row.summary[name]) : DASH);
const share = (value) => percent(value, 2);

export function mountBacktests(host) {
  const columns = [
    (row) => ({ node: () => tick(row), key: `${row.id}:${chosen.has(row.id)}:${Boolean(row.summary)}` }),
    (row) => ({ text: row.kind === "search" ? `${row.strategy} (search)` : row.strategy, title: words(row.params), cls: "wrap" }),
    (row) => ({ text: row.data, title: row.data, cls: "clip" }),
    (row) => ({ node: () => state(row), key: `${row.version}` }),
    (row) => figure(row, "total_return", share),
    (row) => figure(row, "sharpe", number),
    (row) => figure(row, "max_drawdown", share),
    (row) => figure(row, "trades", (value) => number(value, 0)),
    (row) => ({ text: since(row.requested_at, serverNow()), title: `${dateTime(row.requested_at)} UTC by ${row.requested_by}` }),
    (row) => ({ node: () => actions(row), key: `${row.version}` }),
  ];
  const table = new LiveTable(host, columns, {
    empty: { title: "No backtest yet", text: "Choose a strategy and data, and run one; gekko backtest does the same on the command line." },
    onOpen: (key) => open(topicState("backtests").rows.get(key)),
  });
  const show = (rows) => table.render([...rows].sort(([, a], [, b]) => (a.requested_at < b.requested_at ? 1 : -1)));
  const again = () => topicState("backtests").known && show(topicState("backtests").rows);
  window.addEventListener(CHOSEN, again);
  const end = listen("backtests", show);
  return () => {
    window.removeEventListener(CHOSEN, again);
    end();
  };
}

const words = (params) => Object.entries(params).map(([name, value]) => `${name}=${value}`).join(" ") || "default parameters";

function tick(row) {
  if (!row.summary) return el("span", {}, DASH);
  const box = el("input", { type: "checkbox", "aria-label": `Compare ${row.strategy} ${words(row.params)}`, checked: chosen.has(row.id) });
  box.addEventListener("click", (event) => event.stopPropagation());
  box.addEventListener("change", () => {
    if (box.checked && chosen.size >= MOST_COMPARED) {
      box.checked = false;
      toast(`At most ${MOST_COMPARED} can be compared`, "warn");
      return;
    }
    if (box.checked) chosen.add(row.id);
    else chosen.delete(row.id);
    window.dispatchEvent(new CustomEvent(CHOSEN));
  });
  return box;
}

function state(row) {
  const text = row.state === "running" ? `Running ${percent(row.progress, 0)}` : undefined;
  return el("span", { title: row.detail }, pill(TONE[row.state], text || row.state));
}

function actions(row) {
  if (row.has_sheet) {
    const href = `/api/v1/backtests/${row.id}/tear-sheet/`;
    return el("a", { class: "button small", href, target: "_blank", rel: "noopener" }, "Tear sheet");
  }
  if (OPEN.has(row.state) && may("trading.backtest")) return cancelButton(row);
  return el("span", {}, "");
}

function cancelButton(row) {
  const act = async (event) => {
    event.stopPropagation();
    event.currentTarget.disabled = true;
    try {
      const now = await post(`backtests/${row.id}/cancel/`);
      put("backtests", now.id, now);
      toast("The backtest ends");
    } catch (error) {
      toast(error.words || String(error), "bad");
    }
  };
  return el("button", { type: "button", class: "button small", on: { click: act } }, "Cancel");
}

async function open(row) {
  if (!row) return;
  const lines = [
    el("p", { class: "row" }, el("strong", {}, row.strategy), state(row)),
    row.detail ? el("p", { class: "bad" }, row.detail) : null,
    facts([
      ["Parameters", words(row.params)],
      ["Data", row.data],
      ["Asked", `${dateTime(row.requested_at)} UTC by ${row.requested_by}`],
      ["Finished", row.finished_at ? `${dateTime(row.finished_at)} UTC` : ""],
      ...Object.entries(row.settings).map(([name, value]) => [name, typeof value === "object" ? JSON.stringify(value) : String(value)]),
      ["Inputs", row.inputs],
      ["Fingerprint", row.fingerprint],
    ]),
  ];
  drawer(row.kind === "search" ? "Search" : "Backtest", ...lines);
  if (row.kind !== "search") return;
  try {
    const { trials } = await get(`backtests/${row.id}/`);
    drawer("Search", ...lines, el("h3", {}, `Trials (${trials.length} of ${row.settings.trials})`), trialTable(trials));
  } catch (error) {
    toast(error.words || String(error), "bad");
  }
}

function trialTable(trials) {
  const best = [...trials].sort((a, b) => (b.score ?? -Infinity) - (a.score ?? -Infinity));
  const head = el("tr", {}, ["No.", "Parameters", "Score", "Return"].map((title) => el("th", { scope: "col" }, title)));
  const line = (row) => el("tr", {}, [String(row.number), words(row.params), number(row.score, 3), figure(row, "total_return", share)].map((text) => el("td", {}, text)));
  return el("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Trials" }, el("table", {}, el("thead", {}, head), el("tbody", {}, best.map(line))));
}

const COMPARED = [
  ["Data", (row) => row.data],
  ["Parameters", (row) => words(row.params)],
  ["Total return", (row) => figure(row, "total_return", share)],
  ["Per year", (row) => figure(row, "annual_return", share)],
  ["Volatility", (row) => figure(row, "annual_volatility", share)],
  ["Sharpe", (row) => figure(row, "sharpe", number)],
  ["Sortino", (row) => figure(row, "sortino", number)],
  ["Worst drawdown", (row) => figure(row, "max_drawdown", share)],
  ["Time in the market", (row) => figure(row, "exposure", share)],
  ["Closed trades", (row) => figure(row, "trades", (value) => number(value, 0))],
  ["Won", (row) => figure(row, "win_rate", share)],
  ["Profit factor", (row) => figure(row, "profit_factor", number)],
  ["Fees", (row) => figure(row, "fees", number)],
  ["VaR breaches", (row) => figure(row, "var_breaches", (value) => number(value, 0))],
  ["Fingerprint", (row) => row.fingerprint.slice(0, 12)],
];

export function mountBacktestCompare(host) {
  const show = () => {
    const rows = [...chosen].map((id) => topicState("backtests").rows.get(id)).filter((row) => row?.summary);
    host.replaceChildren(rows.length ? sideBySide(rows) : message("Nothing chosen", "Tick finished runs in the list to see their figures side by side."));
  };
  window.addEventListener(CHOSEN, show);
  const end = listen("backtests", show);
  show();
  return () => {
    window.removeEventListener(CHOSEN, show);
    end();
  };
}

function sideBySide(rows) {
  const head = el("tr", {}, el("th", { scope: "col" }, "Figure"), rows.map((row) => el("th", { scope: "col", class: "num" }, row.strategy)));
  const lines = COMPARED.map(([title, value]) => el("tr", {}, el("th", { scope: "row" }, title), rows.map((row) => el("td", { class: "num wrap" }, value(row)))));
  return el("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Runs side by side" }, el("table", {}, el("thead", {}, head), el("tbody", {}, lines)));
}

// The form

const field = (id, label, input, hint = "") => el("div", { class: "field" }, el("label", { for: id }, label), input, hint ? el("span", { class: "hint" }, hint) : null);
const text = (id, value = "", extra = {}) => Object.assign(el("input", { id, class: "text", type: "text", autocomplete: "off", ...extra }), { value });

export function mountBacktestForm(host) {
  const strategy = el("select", { id: "bt-strategy", class: "text" });
  const names = el("datalist", { id: "bt-names" });
  const data = text("bt-data", "", { list: "bt-names" });
  const params = el("textarea", { id: "bt-params", class: "text", rows: 5, spellcheck: "false" });
  const ranges = el("textarea", { id: "bt-ranges", class: "text", rows: 2, spellcheck: "false", placeholder: "fast=5:50" });
  const few = { capital: text("bt-capital", "100000"), fee_bps: text("bt-fee", "10"), latency_ms: text("bt-latency", "0"), seed: text("bt-seed", "0"), trials: text("bt-trials", "20") };
  const problem = el("p", { class: "bad", role: "alert" });
  const submit = el("button", { type: "submit", class: "button primary" }, "Run");
  const form = el(
    "form",
    { class: "stack" },
    field("bt-strategy", "Strategy", strategy),
    field("bt-data", "Data", data, "A file below the data folder, or store:venue/instrument/interval."),
    names,
    field("bt-params", "Parameters", params, "One name=value per line."),
    el("div", { class: "filters" }, field("bt-capital", "Capital", few.capital), field("bt-fee", "Fee, bps", few.fee_bps), field("bt-latency", "Latency, ms", few.latency_ms), field("bt-seed", "Seed", few.seed)),
    el("details", {}, el("summary", {}, "Search parameters"), field("bt-ranges", "Ranges", ranges, "One name=low:high or name=a|b|c per line makes it a search."), field("bt-trials", "Trials", few.trials)),
    problem,
    el("div", { class: "row" }, submit),
  );
  host.replaceChildren(form);
  const known = new Map();
  const defaults = () => {
    const card = known.get(strategy.value);
    params.value = card ? card.params.map((one) => `${one.name}=${one.default}`).join("\n") : "";
  };
  strategy.addEventListener("change", defaults);
  const key = keyOf();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send({ key, strategy, data, params, ranges, few, problem, submit });
  });
  Promise.all([get("strategies/"), get("backtests/?limit=1")]).then(
    ([cards, list]) => {
      for (const card of cards) known.set(card.name, card);
      strategy.replaceChildren(...cards.map((card) => el("option", { value: card.name }, card.name)));
      if (known.has(asked("strategy"))) strategy.value = asked("strategy");
      names.replaceChildren(...list.data.map((name) => el("option", { value: name })));
      data.value ||= list.data.find((name) => name.includes(".csv")) || list.data[0] || "";
      defaults();
    },
    (error) => host.replaceChildren(message("Strategies could not be read", error.words || String(error), "error")),
  );
}

function pairs(area, what) {
  const found = {};
  for (const line of area.value.split("\n").map((part) => part.trim()).filter(Boolean)) {
    const at = line.indexOf("=");
    if (at < 1) throw new Error(`${what}: write name=value, not “${line}”.`);
    found[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return found;
}

async function send({ key, strategy, data, params, ranges, few, problem, submit }) {
  problem.textContent = "";
  submit.disabled = true;
  try {
    const order = { strategy: strategy.value, data: data.value.trim(), params: pairs(params, "Parameters") };
    for (const name of ["capital", "fee_bps", "latency_ms", "seed"]) if (few[name].value.trim()) order[name] = few[name].value.trim();
    const searched = pairs(ranges, "Ranges");
    if (Object.keys(searched).length) Object.assign(order, { ranges: searched, trials: few.trials.value.trim() });
    const row = await post("backtests/", order, { key: key(order) });
    key.done();
    put("backtests", row.id, row);
    toast("The backtest waits for a worker");
  } catch (error) {
    problem.textContent = error.words || error.message || String(error);
  } finally {
    submit.disabled = false;
  }
}
