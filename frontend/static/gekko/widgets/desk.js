// What runs the desk: the deployment, limits in use, stage latencies, processes, machines and models.

import { post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { el, message } from "../core/dom.js";
import { ask } from "../core/dialogs.js";
import { bytes, dateTime, milliseconds, number, percent, span, words } from "../core/format.js";
import { may, venue } from "../core/may.js";
import { activeRuns, allRuns } from "../core/runs.js";
import { sentence } from "../core/text.js";
import { listen, put, serverNow, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { pathTimes, quantile } from "./orders.js";
import { bar, facts, pill, stateCell } from "./cells.js";
import { scopeBars } from "./scope-use.js";

const BUDGET_NS = 50e6;
const SILENT_MS = 5000;
const LOST_MS = 15_000;

/** Fill `host` again only when what it would show has changed. */
function rebuild(host) {
  let shown = "";
  return (mark, make) => {
    if (mark === shown) return;
    shown = mark;
    host.replaceChildren(make());
  };
}

export function mountDeployment(host) {
  const build = rebuild(host);
  const show = () => {
    const active = activeRuns();
    const runs = active.length ? active : allRuns().slice(0, 1);
    const halted = tradingState() === "HALTED";
    const mark = `${halted}:${runs.map((run) => `${run.id}:${run.version}`).join()}`;
    build(mark, () => (runs.length ? el("div", {}, runs.map((run) => runCard(run, halted))) : noRun()));
  };
  const again = () => topicState("deployments").known && show();
  const ends = [listen("deployments", show), listen("halts", again)];
  return () => ends.forEach((end) => end());
}

/** What the loop of this desk's venue does; empty until it said so. */
function tradingState() {
  const controls = [...topicState("halts").rows.values()].filter((row) => row.object === "control" && row.venue === venue);
  return controls[0]?.observed_state || "";
}

/** A run that passed its checks still sends nothing while trading is halted. */
function standing(run, halted) {
  if (!halted || run.state !== "healthy") return [pill(run.state), run.detail];
  return [pill("warning", "Held by the halt"), "Checks passed; no order leaves until trading is resumed."];
}

const noRun = () => message("Nothing is deployed", "Start one on the page Strategies; its checks and its health show here.");

function runCard(run, halted) {
  const [state, detail] = standing(run, halted);
  const passed = run.steps.filter((step) => step.state === "passed").length;
  const failed = run.steps.find((step) => step.state === "failed");
  return el(
    "div",
    { class: "card" },
    el("p", { class: "row" }, el("strong", {}, `Run ${run.number}`), state, el("span", { class: "hint" }, run.environment)),
    el("p", { class: failed ? "bad" : "hint" }, failed ? `${words(failed.name)}: ${failed.detail}` : sentence(detail)),
    el("ol", { class: "rail", "aria-label": `Checks: ${passed} of ${run.steps.length} passed` }, run.steps.map(railStep)),
    facts([
      ["Strategy", run.plan.strategy],
      ["Release", `${run.release_number} · ${run.plan.release.slice(0, 10)}`],
      ["Model", (run.plan.model_digest || "").slice(0, 10)],
      ["Instruments", (run.plan.instruments || []).join(", ")],
      ["Limits at its start", `version ${run.plan.limits_version}`],
      ["Healthy since", run.healthy_at ? `${dateTime(run.healthy_at)} UTC` : ""],
    ]),
    run.actions.includes("stop") && may("deployments.stop") ? stopButton(run) : null,
  );
}

function stopButton(run) {
  const start = () =>
    ask({
      title: `Stop run ${run.number}`,
      what: `${run.plan.strategy} sends no more orders; its open orders are cancelled; positions stay as they are.`,
      fields: [{ name: "reason", label: "Reason, for the audit trail" }],
      confirm: "Stop run",
      danger: true,
      act: async ({ reason }) => {
        const now = await post(`deployments/runs/${run.id}/stop/`, { reason }, { version: run.version });
        put("deployments", now.id, now);
        toast(`Run ${now.number} is ${now.state}`);
      },
    });
  return el("div", { class: "row end" }, el("button", { type: "button", class: "button quiet", on: { click: start } }, "Stop run"));
}

const railStep = (step) =>
  el("li", { class: `rail-step ${step.state}`, title: `${words(step.name)}: ${step.detail}` }, el("span", { class: "visually-hidden" }, `${words(step.name)} ${step.state}`));

const LIMITS = { gross: "Gross exposure", daily_loss: "Daily loss", drawdown: "Drawdown", open_orders: "Open orders" };

export function mountLimits(host) {
  const build = rebuild(host);
  return listen("risk", (rows) => {
    const row = rows.values().next().value;
    if (!row?.use) {
      build("none", () => message("No limits in force", "Without published limits no order leaves. A risk officer publishes them."));
      return;
    }
    build(JSON.stringify([row.use, row.denied, row.reconciled, row.venues, row.limits_fresh]), () => limitBars(row, host.dataset.scopes ? scopeBars(row.use.scopes) : null));
  });
}

/** `scopes`: what stands below the account's own bars. */
function limitBars(row, scopes) {
  const places = (name) => (name === "open_orders" ? 0 : 2);
  const bars = Object.entries(LIMITS).map(([name, label]) => {
    const use = row.use[name];
    return bar(label, `${number(use.used, places(name))} / ${number(use.limit, 0)}`, use.fraction);
  });
  const symbols = Object.entries(row.use.positions).map(([symbol, use]) =>
    bar(symbol, `${number(use.used, 0, 6)} / ${number(use.limit, 0, 6)}`, use.fraction),
  );
  const refused = Object.entries(row.denied);
  const denied = refused.length ? refused.map(([code, count]) => `${words(code)} ${count}`).join(", ") : "none";
  return el(
    "div",
    {},
    bars,
    symbols,
    scopes,
    facts([
      ["Limits", `version ${row.limits_version}${row.limits_fresh ? "" : ", not confirmed lately"}`],
      ["Books", books(row)],
      ["Refused by the gate", denied],
    ]),
  );
}

function books(row) {
  const venues = Object.entries(row.venues ?? {});
  if (venues.length < 2) return row.reconciled ? "agree with the venue" : "not yet compared with the venue";
  const state = (venue) => (venue.reconciled ? "agree" : venue.connected ? "not yet compared" : "venue lost");
  return venues.map(([name, venue]) => `${name} ${state(venue)}`).join(", ");
}

const STAGES = { receive: "Receive", decode: "Decode", book: "Book", signal: "Signal", risk: "Risk gate", journal: "Journal", send: "Send" };

export function mountLatency(host) {
  const build = rebuild(host);
  const show = () => {
    const row = topicState("latency").rows.values().next().value;
    const stages = row ? Object.entries(STAGES).filter(([name]) => row.stages[name]) : [];
    if (!stages.length) {
      build("none", () => message("No order measured yet", "Stages of the order path show here after the first order."));
      return;
    }
    const times = pathTimes();
    build(JSON.stringify([row.stages, row.forecast_compute_ns, times.length]), () => stageBars(row, stages, times));
  };
  const ends = [listen("latency", show), listen("orders", show)];
  return () => ends.forEach((end) => end());
}

function stageBars(row, stages, times) {
  const line = (label, low, high) => bar(label, `${milliseconds(low)} · ${milliseconds(high)}`, high / BUDGET_NS);
  const forecast = (row.forecast_queue_ns || 0) + (row.forecast_compute_ns || 0);
  return el(
    "div",
    {},
    el("p", { class: "hint bar-head" }, "p50 · p99; a full bar is the budget of 50 ms"),
    stages.map(([name, label]) => line(label, row.stages[name].p50_ns, row.stages[name].p99_ns)),
    times.length ? line("Whole path", quantile(times, 0.5), quantile(times, 0.99)) : null,
    facts([
      ["Last forecast", row.forecast_compute_ns === null ? "–" : `${milliseconds(forecast)}, off the order path`],
      ["Orders measured", number(row.stages[stages[0][0]].count, 0)],
    ]),
  );
}

export function mountProcesses(host) {
  const columns = [
    (row) => row.name,
    (row) => stateCell(row.state, row.word),
    (row) => ({ text: row.age === null ? "–" : span(row.age), title: row.probed ? "It reports nothing itself; the supervisor asks it" : "" }),
    (row) => ({ text: row.restarts === null ? "–" : String(row.restarts), cls: row.restarts ? "warn" : "" }),
  ];
  const empty = { title: "No heartbeat", text: "Every process reports each second; none has." };
  const table = new LiveTable(host, columns, { empty });
  const show = (rows) => table.render(processRows(rows).map((row) => [row.name, row]));
  return listen("system", show);
}

function processRows(rows) {
  const supervised = rows.get("supervisor")?.detail?.processes || {};
  const names = [...new Set([...Object.keys(supervised), ...rows.keys()])];
  return names.sort().map((name) => {
    const beat = rows.get(name);
    const known = supervised[name];
    const seen = beat?.ts ?? known?.answered_at;
    const age = seen ? Math.max(0, serverNow() - seen * 1000) : null;
    const lost = known ? !known.alive : age !== null && age > LOST_MS;
    const silent = age !== null && age > SILENT_MS;
    const state = lost ? "down" : silent ? "silent" : "up";
    return { name, age, state, probed: !beat, word: { down: "Down", silent: "Silent", up: "Up" }[state], restarts: known ? known.restarts : null };
  });
}

export function mountFleet(host) {
  const build = rebuild(host);
  return listen("fleet", (rows) => {
    const all = [...rows.values()];
    const nodes = all.filter((row) => row.hostname !== undefined);
    const devices = all.filter((row) => row.health !== undefined);
    const models = all.filter((row) => row.digest !== undefined && row.state === "ready").slice(0, 3);
    const mark = JSON.stringify([nodes.map((row) => [row.id, row.state]), devices.map((row) => [row.id, row.health]), models.map((row) => row.digest)]);
    build(mark, () => (nodes.length ? fleetCard(nodes, devices, models) : noFleet()));
  });
}

const noFleet = () => message("No machine has registered", "The forecasting worker registers its machine when it starts.");

function fleetCard(nodes, devices, models) {
  const machine = (node) =>
    el("li", {}, el("strong", {}, node.hostname), pill(node.state), el("span", { class: "hint" }, `${node.region} · ${node.version} · ${node.os}`));
  const health = (row) => pill(row.health === "healthy" ? "passed" : "failed", words(row.health));
  const checks = (row) => `${row.checks.filter((check) => check.ok).length} of ${row.checks.length} checks hold`;
  const device = (row) =>
    el("li", {}, el("strong", {}, `${row.kind}:${row.index}`), health(row), el("span", { class: "hint" }, `${row.name} · ${bytes(row.memory_bytes)} · ${row.backend_version} · ${checks(row)}`));
  return el("div", {}, el("ul", { class: "list" }, nodes.map(machine), devices.map(device)), models.map(modelCard));
}

/** A model with what was measured on data that it had not seen. */
function modelCard(row) {
  const measured = row.metrics || {};
  const better = measured.mae_naive ? 1 - measured.mae / measured.mae_naive : null;
  const coverage = (measured.claimed || []).map((claim, index) => `${percent(claim, 0)} → ${percent(measured.coverage[index], 1)}`);
  return el(
    "div",
    { class: "model" },
    el("p", { class: "row" }, el("strong", {}, row.name), pill(row.state), el("span", { class: "hint" }, row.digest.slice(0, 10))),
    facts([
      ["Error against naive", better === null ? "" : `${percent(Math.abs(better), 2)} ${better >= 0 ? "better" : "worse"}`],
      ["Claimed → real coverage", coverage.join(", ")],
      ["Windows tried", measured.windows ? number(measured.windows, 0) : ""],
      ["Size", bytes(row.size_bytes)],
      ["Ready", row.ready_at ? `${dateTime(row.ready_at)} UTC` : ""],
    ]),
  );
}
