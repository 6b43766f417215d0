// Leave to exceed a limit: who asked, who decided, how long it still holds; asking, deciding, taking back.

import { Refused, keyOf, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { ask } from "../core/dialogs.js";
import { DASH, el } from "../core/dom.js";
import { countdown, dateTime, number, since, span, words } from "../core/format.js";
import { leave } from "../core/leave.js";
import { may, user } from "../core/may.js";
import { listen, put, serverNow, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { facts, pill } from "./cells.js";

const TICK_MS = 1000;
const SHOWN = 20;
/** A request that nobody decides on ends after this. */
const REQUEST_MS = 3_600_000;
const TONES = { pending: "warning", approved: "passed", rejected: "neutral", revoked: "stopped", expired: "neutral" };
const STATES = { pending: "Waiting", approved: "Holds", rejected: "Refused", revoked: "Taken back", expired: "Ended" };
const EMPTY = { title: "No leave was asked for", text: "Every order keeps to the limits. Who may resume trading may ask for leave; another person approves it." };

/** What a row is by now: its time may be over before its closing event comes. */
const ends = (row) => new Date(row.until).getTime();
const stateOf = (row) => (["pending", "approved"].includes(row.state) && deadline(row) <= serverNow() ? "expired" : row.state);
const deadline = (row) => (row.state === "pending" ? Math.min(ends(row), new Date(row.requested_at).getTime() + REQUEST_MS) : ends(row));

function left(row) {
  const state = stateOf(row);
  if (state === "approved") return `in ${countdown(ends(row) - serverNow())}`;
  if (state === "pending") return `another person decides within ${countdown(deadline(row) - serverNow())}`;
  return DASH;
}

export function mountOverrides(host) {
  const units = new Map(JSON.parse(host.dataset.codes).map(({ code, unit }) => [code, unit]));
  const columns = [
    (row) => ({ text: row.scope, sub: [words(row.code), left(row)].filter((text) => text !== DASH).join(", "), cls: "strong wrap" }),
    (row) => ({ text: words(row.code), title: row.code, cls: "wrap" }),
    (row) => ({ text: number(row.amount, 0, 8), title: units.get(row.code) || "" }),
    (row) => ({ text: left(row), title: `${dateTime(row.until)} UTC` }),
    (row) => ({ node: () => pill(TONES[stateOf(row)], STATES[stateOf(row)]), key: stateOf(row) }),
    (row) => ({ text: row.requested_by, title: `${dateTime(row.requested_at)} UTC` }),
    (row) => ({ text: row.ended_by || row.decided_by || DASH, title: row.decided_at ? `${dateTime(row.decided_at)} UTC` : "" }),
    (row) => ({ text: row.reason, title: row.reason, cls: "clip" }),
    (row) => ({ node: () => actions(row), key: `${row.version}:${stateOf(row)}` }),
  ];
  const table = new LiveTable(host, columns, { empty: EMPTY });
  host.closest(".panel").querySelector('[data-action="ask-override"]')?.addEventListener("click", () => request(units));
  const show = () => {
    const topic = topicState("policies");
    if (topic.error) table.say("Leave may not be shown", "Your role does not let you read policies.", "error");
    else if (topic.known) table.render(rowsOf(topic));
  };
  const end = listen("policies", show);
  const timer = setInterval(show, TICK_MS);
  return () => {
    clearInterval(timer);
    end();
  };
}

/** What waits or holds first, then the newest of the rest. */
function rowsOf(topic) {
  const open = (row) => Number(["pending", "approved"].includes(stateOf(row)));
  const all = [...topic.rows].filter(([, row]) => row.object === "override");
  return all.sort(([, a], [, b]) => open(b) - open(a) || (a.requested_at < b.requested_at ? 1 : -1)).slice(0, SHOWN);
}

function actions(row) {
  const state = stateOf(row), own = row.requested_by === user;
  const small = (text, act) => el("button", { type: "button", class: "button small", "aria-label": `${text}: ${words(row.code)} of ${row.scope}`, on: { click: act } }, text);
  const made = [];
  if (state === "pending" && may("policies.edit") && !own) made.push(small("Approve", () => approve(row)));
  if (state === "pending" && (own ? may("trading.resume") : may("policies.edit"))) made.push(small(own ? "Withdraw" : "Refuse", () => decide(row, "reject", own ? "Withdrawn" : "Refused")));
  if (state === "approved" && may("trading.halt")) made.push(small("Take back", () => decide(row, "revoke", "Taken back: the gate keeps to the limit again")));
  return el("span", { class: "row end" }, made);
}

async function decide(row, action, said) {
  try {
    keep(await post(`policies/overrides/${row.id}/${action}/`, {}));
    toast(said);
  } catch (error) {
    toast(error.words || String(error), "bad");
  }
}

const keep = (row) => put("policies", `override:${row.id}`, row);

function approve(row) {
  const key = keyOf();
  ask({
    title: "Give leave",
    what: "Orders within it pass from now until its time. Every order that uses it says so. Anybody who may halt can take it back.",
    detail: facts([
      ["Scope", row.scope],
      ["Limit", words(row.code)],
      ["Up to", number(row.amount, 0, 8)],
      ["Ends", `${dateTime(row.until)} UTC, in ${countdown(ends(row) - serverNow())}`],
      ["Asked by", `${row.requested_by}, ${since(row.requested_at, serverNow())} ago`],
      ["Reason", row.reason],
    ]),
    fields: [{ name: "code", label: "Fresh authenticator code", kind: "code" }],
    confirm: "Give leave",
    danger: true,
    act: async ({ code }) => {
      const grant = await leave(code, "policies.override", row.id);
      keep(await post(`policies/overrides/${row.id}/approve/`, { grant }, { key: key(row.id) }));
      toast("Leave is given; the gate takes it within a second");
    },
  });
}

/** When `minutes` are over: the same moment for the same wish, so that pressing again asks for the same. */
function endOf() {
  let last = "", until = "";
  return (wish, minutes) => {
    const now = JSON.stringify(wish);
    if (now !== last) [last, until] = [now, new Date(serverNow() + minutes * 60_000 - 1000).toISOString()];
    return until;
  };
}

function request(units) {
  const key = keyOf();
  const moment = endOf();
  const codes = [...units].map(([code, unit]) => [code, `${words(code)} (${unit})`]);
  ask({
    title: "Ask for leave to exceed a limit",
    what: "Nothing changes until another person approves it, within an hour. States, halts and loss limits can never be exceeded.",
    fields: [
      { name: "scope", label: "Scope", value: "account", hint: "account, firm, desk:<name>, strategy:<name>, venue:<name> or instrument:<symbol>" },
      { name: "code", label: "Limit", choices: codes },
      { name: "amount", label: "Up to", hint: "In the limit's own unit, which stands beside its name" },
      { name: "until", label: "For how many minutes", value: "60", hint: "At most a day (1440)" },
      { name: "reason", label: "Reason, for the audit trail" },
    ],
    confirm: "Ask",
    act: async (values) => {
      const minutes = Number(values.until);
      if (!(minutes > 0)) throw new Refused(0, { detail: "Some fields are refused", fields: { until: ["expected a number of minutes above 0"] } });
      const wish = { ...values, scope: values.scope.trim(), amount: values.amount.trim() };
      const asked = { ...wish, until: moment(wish, minutes) };
      const row = await post("policies/overrides/", asked, { key: key(asked) });
      keep(row);
      toast(`Asked; it waits for another person, at most ${span(REQUEST_MS)}`);
    },
  });
}
