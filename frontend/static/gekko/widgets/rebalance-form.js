// Asking for a book, and the policy that asks by itself.

import { Refused, keyOf, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { ask } from "../core/dialogs.js";
import { el, message } from "../core/dom.js";
import { dateTime, number, span, words } from "../core/format.js";
import { leave } from "../core/leave.js";
import { may, venue } from "../core/may.js";
import { serverNow } from "../core/store.js";
import { sentence } from "../core/text.js";
import { facts } from "./cells.js";
import { follow, keepRun, keepSchedule } from "./rebalance-topic.js";
import { worked } from "./rebalance-words.js";
import { choose } from "./rebalances.js";

const FIELDS = [
  { name: "invest", label: "Invested, % of equity", value: "95", hint: "Sum of all weights; the rest stays cash." },
  { name: "most", label: "Most per instrument, %", value: "60" },
  { name: "interval", label: "Bars of", choices: ["1m", "5m", "15m", "1h", "4h", "1d"], value: "1h" },
  { name: "bars", label: "Number of bars", value: "500", hint: "20 to 999." },
  { name: "band", label: "Leave alone within, %", value: "1", hint: "A weight this near to its target is not traded." },
  { name: "minutes", label: "Work each trade over, min", value: "10" },
];
/** Methods that need more than these fields say so here. */
const MORE = { target_return: '{"target": 0.2}', target_risk: '{"target": 0.3}', black_litterman: '{"market": {"BTCUSDT": 0.7, "ETHUSDT": 0.3}}' };

export function mountRebalanceForm(host) {
  const methods = JSON.parse(host.dataset.methods);
  const method = el("select", { id: "rb-method", class: "text" }, methods.map((name) => el("option", { value: name }, words(name))));
  method.value = "risk_budget";
  const inputs = FIELDS.map(makeField);
  const more = el("textarea", { id: "rb-more", class: "text", rows: 3, spellcheck: "false", placeholder: "{}" });
  const details = el("details", {}, el("summary", {}, "More of the policy"), el("div", { class: "field" }, el("label", { for: "rb-more" }, "Further fields, as JSON"), more, el("span", { class: "hint" }, "As in the guide to portfolios; what stands here comes before the fields above.")));
  const problem = el("p", { class: "form-error", role: "alert" });
  const submit = el("button", { type: "submit", class: "button primary" }, "Propose");
  const repeat = may("trading.order") ? el("button", { type: "button", class: "button quiet" }, "Repeat by itself…") : null;
  const form = el("form", { class: "stack", novalidate: true }, el("div", { class: "field" }, el("label", { for: "rb-method" }, "Method"), method), el("div", { class: "pairs" }, inputs.map(({ box }) => box)), details, problem, el("div", { class: "row end" }, repeat, submit), el("p", { class: "hint" }, "Nothing is sent: what comes out waits for approval."));
  method.addEventListener("change", () => {
    more.value = MORE[method.value] || "";
    details.open = Boolean(more.value);
  });
  const policy = () => policyOf(method.value, inputs, more.value);
  const key = keyOf();
  const tried = async (act) => {
    problem.textContent = "";
    submit.disabled = true;
    try {
      await act();
    } catch (error) {
      problem.textContent = error.words || String(error);
    } finally {
      submit.disabled = false;
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tried(() => propose(policy(), key));
  });
  repeat?.addEventListener("click", () => tried(async () => schedule(policy())));
  host.replaceChildren(form);
}

function makeField({ name, label, value, hint = "", choices }) {
  const id = `rb-${name}`;
  const input = choices ? el("select", { id, class: "text" }, choices.map((one) => el("option", { value: one }, one))) : el("input", { id, class: "text", inputmode: "decimal", autocomplete: "off", title: hint });
  input.value = value;
  return { name, input, box: el("div", { class: "field" }, el("label", { for: id }, label), input) };
}

function policyOf(method, inputs, more) {
  const said = Object.fromEntries(inputs.map(({ name, input }) => [name, input.value.trim()]));
  const share = (name, label) => {
    if (said[name] === "" || !Number.isFinite(Number(said[name]))) throw new Refused(0, { detail: `Give a number as “${label}”` });
    return Number((Number(said[name]) / 100).toFixed(8));
  };
  let further = {};
  try {
    further = more.trim() ? JSON.parse(more) : {};
  } catch (error) {
    throw new Refused(0, { detail: `Further fields are no JSON: ${error.message}` });
  }
  const invest = share("invest", "Invested");
  return {
    method,
    interval: said.interval,
    bars: Number(said.bars),
    bands: { absolute: share("band", "Leave alone within") },
    execution: { duration_s: Number(said.minutes) * 60 },
    ...further,
    constraints: { net: [invest, invest], upper: share("most", "Most per instrument"), ...further.constraints },
  };
}

async function propose(policy, key) {
  const order = { venue, policy };
  // The same book may be wanted again later: only while no answer came is it the same request.
  const run = await post("rebalances/", order, { key: key(order) });
  key.done();
  keepRun(run);
  choose(run.id);
  toast("Asked; the proposal shows in seconds");
}

function schedule(policy) {
  const key = keyOf();
  ask({
    title: "Repeat by itself",
    what: "The policy of the form takes the place of the standing one. Each book waits for approval, unless you let it trade by itself within the policy's tolerances.",
    fields: [
      { name: "minutes", label: "Ask every, minutes", value: "60", hint: "1 to 10080. The band decides whether anything is due." },
      { name: "execute", label: "When a book is due", choices: [["no", "propose it"], ["yes", "trade it without asking"]] },
      { name: "reason", label: "Reason, for the audit trail" },
      { name: "code", label: "Fresh authenticator code, to let it trade", kind: "code" },
    ],
    confirm: "Set policy",
    act: async ({ minutes, execute, reason, code }) => {
      const wanted = { ...policy, schedule: { every_s: Number(minutes) * 60, execute: execute === "yes" } };
      const order = { venue, policy: wanted, reason: reason.trim() };
      const grant = execute === "yes" ? await leaveFor(order, code) : null;
      keepSchedule(await post("rebalance-schedules/", grant ? { ...order, grant } : order, { key: key(order) }));
      toast("The policy is set");
    },
  });
}

async function leaveFor({ venue: place, policy }, code) {
  const { digest } = await post("rebalance-schedules/preview/", { venue: place, policy });
  return leave(code, "trading.rebalance", `${place}:${digest}`);
}

export function mountRebalanceSchedule(host) {
  let shown = null;
  return follow((found, error) => {
    const row = found?.schedule;
    // Built again only when it says something else, so that the button keeps its focus.
    const mark = row ? `${row.id}:${row.version}:${nextWords(row)}` : error;
    if (mark === shown) return;
    shown = mark;
    if (!found) host.replaceChildren(message("Not known", error, "error"));
    else host.replaceChildren(row ? card(row) : message("None", "Books are computed when somebody asks. A policy can ask by itself."));
  });
}

function nextWords(row) {
  const next = new Date(row.next_at).getTime() - serverNow();
  return next > 0 ? `in ${span(next)}` : "now";
}

function card(row) {
  const { schedule: every, execution, method } = row.policy;
  return el(
    "div",
    { class: "card" },
    row.problem ? el("p", { class: "bad" }, sentence(row.problem)) : null,
    facts([
      ["Method", words(method)],
      ["Every", span(every.every_s * 1000)],
      ["When due", every.execute ? `trades by itself, ${worked(execution)}` : "proposes; a person approves"],
      ["Next", nextWords(row)],
      ["Band", `${number(row.policy.bands.absolute * 100, 0, 2)} %`],
      ["Set", `${dateTime(row.set_at)} UTC by ${row.set_by}: ${sentence(row.reason)}`],
    ]),
    may("trading.rebalance") ? el("div", { class: "row end" }, el("button", { type: "button", class: "button quiet", on: { click: () => endPolicy(row) } }, "End policy")) : null,
  );
}

function endPolicy(row) {
  ask({
    title: "End the standing policy",
    what: "No further book is asked for by itself. Trades that are under way go on.",
    fields: [{ name: "reason", label: "Reason, for the audit trail" }],
    confirm: "End policy",
    act: async ({ reason }) => {
      keepSchedule(await post(`rebalance-schedules/${row.id}/end/`, { reason: reason.trim() }));
      toast("The policy is ended");
    },
  });
}
