// Incidents: the short list with inline acknowledging, the full list, and one in detail.

import { Refused, get, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { el, message } from "../core/dom.js";
import { ask } from "../core/dialogs.js";
import { dateTime, since, timeOfDay, words } from "../core/format.js";
import { may } from "../core/may.js";
import { listen, put, serverNow, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { asked, go, keep } from "../frame/nav.js";
import { facts, pill, stateCell } from "./cells.js";
import { choose } from "./orders.js";

const RANK = { critical: 0, warning: 1, info: 2 };
const urgent = ([, a], [, b]) => (RANK[a.severity] - RANK[b.severity] || b.number - a.number);
const newest = ([, a], [, b]) => b.number - a.number;
const open = (row) => row.state !== "resolved";

export function mountOpenIncidents(host) {
  const ackCell = (row) => ({
    key: `${row.state}|${row.version}`,
    node: () => (row.state === "triggered" && may("incidents.acknowledge") ? ackButton(row) : pill(row.state)),
  });
  const columns = [
    (row) => stateCell(row.severity),
    (row) => ({ text: row.title, title: row.detail, cls: "wrap" }),
    (row) => ({ text: since(row.opened_at, serverNow()), title: row.opened_at }),
    ackCell,
  ];
  const table = new LiveTable(host, columns, { empty: {}, onOpen: (key) => go(`/incidents/?id=${key}`) });
  const show = (rows) => {
    const all = [...rows.values()];
    const last = all.length ? Math.max(...all.map((row) => new Date(row.opened_at))) : null;
    const text = last ? `The last one opened ${since(new Date(last).toISOString(), serverNow())} ago.` : "Nothing has gone wrong yet.";
    table.empty = { title: "No open incidents", text };
    table.render([...rows].filter(([, row]) => open(row)).sort(urgent).slice(0, 7));
  };
  const end = listen("incidents", show);
  const timer = setInterval(() => topicState("incidents").known && show(topicState("incidents").rows), 5000);
  return () => {
    clearInterval(timer);
    end();
  };
}

function ackButton(row) {
  const act = async (event) => {
    event.currentTarget.disabled = true;
    try {
      await change(row, "acknowledge", "");
    } catch (error) {
      toast(error.words || String(error), "bad");
      event.target.disabled = false;
    }
  };
  const which = el("span", { class: "visually-hidden" }, ` ${row.title}`);
  return el("button", { type: "button", class: "button small", on: { click: act } }, "Ack", which);
}

/** Acknowledge or resolve the version that was seen; when somebody was faster, show what they did. */
async function change(row, verb, comment) {
  try {
    const now = await post(`incidents/${row.id}/${verb}/`, { comment }, { version: row.version });
    put("incidents", now.id, now);
    toast(`Incident ${now.number} ${now.state}`);
  } catch (error) {
    if (!(error instanceof Refused) || ![409, 412].includes(error.status)) throw error;
    const now = await get(`incidents/${row.id}/`);
    put("incidents", now.id, now);
    const who = now.resolved_by || now.acknowledged_by;
    throw new Refused(error.status, { detail: who ? `Already ${now.state} by ${who}. The newest version is shown; look again.` : error.message });
  }
}

const PICK = { open, triggered: (row) => row.state === "triggered", resolved: (row) => !open(row), all: () => true };
const EMPTY = {
  open: { title: "No open incidents", text: "Nothing needs attention." },
  triggered: { title: "All acknowledged", text: "Every open incident has somebody on it." },
  resolved: { title: "None resolved yet", text: "Resolved incidents stay here with their timeline." },
  all: { title: "No incidents yet", text: "What goes wrong will be listed here." },
};

export function mountIncidents(host) {
  let state = asked("state") in PICK ? asked("state") : "open";
  const columns = [
    (row) => String(row.number),
    (row) => stateCell(row.severity),
    (row) => ({ text: row.title, title: row.detail, cls: "wrap" }),
    (row) => stateCell(row.state),
    (row) => String(row.count),
    (row) => ({ text: since(row.opened_at, serverNow()), title: row.opened_at }),
  ];
  const select = (key) => {
    keep("id", key);
    window.dispatchEvent(new CustomEvent("gekko:incident", { detail: key }));
  };
  const table = new LiveTable(host, columns, { empty: EMPTY[state], onOpen: select });
  const show = (rows) => {
    table.empty = EMPTY[state];
    table.render([...rows].filter(([, row]) => PICK[state](row)).sort(state === "open" ? urgent : newest));
  };
  choose(host.closest(".panel").querySelector('[data-choices="state"]'), state, (chosen) => {
    state = chosen;
    keep("state", chosen);
    show(topicState("incidents").rows);
  });
  return listen("incidents", show);
}

export function mountIncidentDetail(host) {
  let chosen = asked("id");
  let shown = "";
  const show = () => {
    const rows = topicState("incidents").rows;
    const key = rows.has(chosen) ? chosen : [...rows].filter(([, row]) => open(row)).sort(urgent)[0]?.[0];
    const row = rows.get(key);
    const mark = row ? `${key}:${row.version}` : "none";
    if (mark === shown) return;
    shown = mark;
    host.replaceChildren(row ? detail(row) : message("Nothing selected", "Choose an incident in the list."));
  };
  const pick = (event) => {
    chosen = event.detail;
    show();
  };
  window.addEventListener("gekko:incident", pick);
  const end = listen("incidents", show);
  return () => {
    window.removeEventListener("gekko:incident", pick);
    end();
  };
}

function detail(row) {
  return el(
    "div",
    { class: "detail" },
    el("h3", { class: "detail-title" }, `${row.number} · ${row.title}`),
    el("p", { class: "row" }, pill(row.severity), pill(row.state), el("span", { class: "hint" }, `seen ${row.count}×`)),
    row.detail ? el("p", {}, row.detail) : null,
    el("div", { class: "row" }, buttons(row)),
    facts([
      ["Kind", words(row.kind)],
      ["Source", row.source],
      ["Opened", `${dateTime(row.opened_at)} UTC`],
      ["Last seen", `${dateTime(row.last_seen_at)} UTC`],
      ["Cause gone", row.source_cleared_at ? `${dateTime(row.source_cleared_at)} UTC` : "not yet"],
      ["Acknowledged", row.acknowledged_at ? `${row.acknowledged_by}, ${dateTime(row.acknowledged_at)} UTC` : ""],
      ["Resolved", row.resolved_at ? `${row.resolved_by}, ${dateTime(row.resolved_at)} UTC` : ""],
    ]),
    el("h3", {}, "Timeline"),
    el("ol", { class: "timeline" }, row.timeline.map(step)),
    Object.keys(row.evidence || {}).length ? [el("h3", {}, "Evidence"), el("pre", { class: "json", tabindex: 0 }, JSON.stringify(row.evidence, null, 2))] : null,
  );
}

/** What happened, as people say it; other kinds are shown by their own word. */
const HAPPENED = {
  opened: "Opened",
  acknowledged: "Acknowledged",
  noted: "Note",
  escalated: "Severity raised",
  cleared: "Cause gone",
  returned: "Came back",
  resolved: "Resolved",
};

const step = (entry) =>
  el(
    "li",
    {},
    el("time", { datetime: entry.at, title: entry.at }, timeOfDay(entry.at)),
    el("strong", {}, HAPPENED[entry.kind] || words(entry.kind)),
    el("span", {}, entry.text),
    entry.by ? el("span", { class: "hint" }, entry.by) : null,
  );

function buttons(row) {
  const made = [];
  if (row.state === "triggered" && may("incidents.acknowledge")) made.push(commentButton(row, "acknowledge", "Acknowledge", "primary"));
  if (open(row) && may("incidents.resolve")) made.push(commentButton(row, "resolve", "Resolve", row.state === "triggered" ? "quiet" : "primary"));
  if (may("incidents.acknowledge")) made.push(noteButton(row));
  return made;
}

function commentButton(row, verb, label, kind) {
  const start = () =>
    ask({
      title: `${label} incident ${row.number}`,
      what: row.title,
      fields: [{ name: "comment", label: "Comment (optional)", type: "textarea" }],
      confirm: label,
      act: ({ comment }) => change(row, verb, comment),
    });
  return el("button", { type: "button", class: `button ${kind}`, on: { click: start } }, label);
}

function noteButton(row) {
  const start = () =>
    ask({
      title: `Note on incident ${row.number}`,
      what: "A note goes into the timeline and cannot be changed.",
      fields: [{ name: "text", label: "Note", type: "textarea" }],
      confirm: "Add note",
      act: async ({ text }) => {
        const now = await post(`incidents/${row.id}/notes/`, { text });
        put("incidents", now.id, now);
      },
    });
  return el("button", { type: "button", class: "button quiet", on: { click: start } }, "Add note");
}
