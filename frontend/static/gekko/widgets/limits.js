// Versions of the limits with what may be done with each, and the limits of single scopes with what they hold now.

import { Refused, keyOf, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { ask, drawer } from "../core/dialogs.js";
import { DASH, el } from "../core/dom.js";
import { dateTime, number, since } from "../core/format.js";
import { may } from "../core/may.js";
import { listen, put, serverNow, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { bar, facts, pill } from "./cells.js";
import { EDIT, inForce, limitFields } from "./limit-editor.js";
import { diff, label } from "./limit-values.js";

const TONES = { active: "passed", draft: "neutral", retired: "closed" };
const STATES = { active: "In force", draft: "Draft", retired: "Retired" };

export const policyWords = { title: "No limits yet", text: "Without published limits no order leaves. A risk officer makes and publishes them." };

export function mountLimitVersions(host) {
  const columns = [
    (row) => ({ text: String(row.number), cls: "strong" }),
    (row) => ({ node: () => pill(TONES[row.state], STATES[row.state]), key: row.state }),
    (row) => ({ text: row.note || DASH, title: row.note, cls: "clip" }),
    (row) => ({ text: row.created_by, title: `${dateTime(row.created_at)} UTC` }),
    (row) => (row.published_at ? { text: `${since(row.published_at, serverNow())} ago by ${row.published_by}`, title: `${dateTime(row.published_at)} UTC` } : DASH),
    (row) => ({ node: () => actions(row), key: `${row.version}:${inForce()?.number}` }),
  ];
  const table = new LiveTable(host, columns, { empty: policyWords, onOpen: (key) => open(topicState("policies").rows.get(key)) });
  const draft = host.closest(".panel").querySelector('[data-action="draft-limits"]');
  draft?.addEventListener("click", () => edit(null));
  return listen("policies", (rows, topic) => {
    // A draft begins from what is in force: that has to be known first.
    if (draft) draft.disabled = !topic.known;
    if (topic.error) table.say("Limits may not be shown", "Your role does not let you read policies.", "error");
    else if (topic.known) table.render([...rows].filter(([, row]) => row.object !== "override").sort(([, a], [, b]) => b.number - a.number));
  });
}

const edit = (row) => window.dispatchEvent(new CustomEvent(EDIT, { detail: row }));

function actions(row) {
  if (row.state !== "draft" || !may("policies.edit")) return el("span", {});
  const small = (text, act) => el("button", { type: "button", class: "button small", "aria-label": `${text} version ${row.number}`, on: { click: act } }, text);
  return el("span", { class: "row end" }, small("Edit", () => edit(row)), small("Publish", () => publish(row)));
}

/** The version before `row` among those known, to say what it changed. */
function before(row) {
  const older = [...topicState("policies").rows.values()].filter((one) => one.object !== "override" && one.state !== "draft" && one.number < row.number);
  return older.sort((a, b) => b.number - a.number)[0];
}

function open(row) {
  const other = row.state === "draft" ? inForce() : before(row);
  const title = other ? `Version ${other.number}` : "Nothing before";
  drawer(
    `Limits, version ${row.number}`,
    facts([
      ["State", pill(TONES[row.state], STATES[row.state])],
      ["Note", row.note],
      ["Made", `${dateTime(row.created_at)} UTC by ${row.created_by}`],
      ["Published", row.published_at ? `${dateTime(row.published_at)} UTC by ${row.published_by}` : null],
      ["Retired", row.retired_at ? `${dateTime(row.retired_at)} UTC` : null],
      ["Digest", row.digest.slice(0, 16)],
    ]),
    el("section", {}, el("h3", {}, row.state === "draft" ? "Against what is in force" : "Against the version before"), diff(limitFields(), other?.limits, row.limits, title)),
    other ? el("section", {}, el("h3", {}, "All of it"), diff(limitFields(), {}, row.limits, "Limit unset")) : null,
  );
}

function publish(row) {
  const active = inForce();
  const key = keyOf();
  ask({
    title: `Publish version ${row.number}`,
    what: "It holds from the moment the trading loop takes it, within a second, for every order. What holds now is retired. The code is for this version alone.",
    detail: diff(limitFields(), active?.limits, row.limits, active ? `Version ${active.number}, in force` : "Nothing in force"),
    fields: [{ name: "code", label: "Fresh authenticator code", kind: "code" }],
    confirm: "Publish",
    danger: true,
    act: async ({ code }) => {
      // A draft that somebody edited since is another one than the one shown here.
      const seen = topicState("policies").rows.get(String(row.number));
      if (seen.state === "draft" && seen.version !== row.version) throw new Refused(0, { detail: `Draft ${row.number} was changed meanwhile. Close this and look again` });
      const grant = await leave(code, "policies.publish", String(row.number));
      const now = await post(`policies/limits/${row.number}/publish/`, { grant }, { key: key(row.version) });
      put("policies", String(now.number), now);
      toast(`Version ${now.number} is published`);
    },
  });
}

/** A grant for one action on one object, bought with a fresh code. */
export async function leave(code, action, object) {
  if (!/^\d{6,8}$/.test(code.trim())) throw new Refused(0, { detail: "Enter the six digits that your authenticator shows" });
  const { grant } = await post("auth/step-up/", { code: code.trim(), action, object_id: object });
  return grant;
}

const positionOf = (symbol) => [...topicState("positions").rows.values()].find((row) => row.symbol === symbol);
const held = (symbol) => (positionOf(symbol)?.mark == null ? null : Math.abs(Number(positionOf(symbol).quantity) * Number(positionOf(symbol).mark)));

/** Value held in a scope, as far as the screen knows it: instruments by their positions, venues by the risk report. */
function valueIn(scope) {
  const [kind, name] = scope.split(/:(.*)/);
  const report = topicState("risk_report").rows.values().next().value;
  if (kind === "instrument") return held(name);
  if (kind === "venue") return report?.exposure.venues[name] ?? null;
  if (kind === "firm") return report?.exposure.gross ?? null;
  return null;
}

function scopeRows(limits) {
  const rows = [];
  const add = (scope, name, most, used) => rows.push([`${scope}|${name}`, { scope, name, most, used }]);
  for (const [scope, own] of Object.entries(limits.scopes || {}))
    for (const [name, most] of Object.entries(own)) add(scope, name, most, name === "max_gross_notional" ? valueIn(scope) : null);
  const report = topicState("risk_report").rows.values().next().value;
  for (const [name, most] of Object.entries(limits.max_venue_notional || {})) add(`venue:${name}`, "max_venue_notional", most, report?.exposure.venues[name] ?? null);
  for (const [name, most] of Object.entries(limits.max_currency_notional || {})) add(`currency:${name}`, "max_currency_notional", most, report?.exposure.currencies[name] ?? null);
  for (const [symbol, most] of Object.entries(limits.max_position || {})) add(`instrument:${symbol}`, "max_position", most, positionOf(symbol)?.quantity ?? null);
  return rows;
}

function useOf(row) {
  const share = row.used === null || !Number(row.most) ? null : Math.abs(Number(row.used)) / Number(row.most);
  if (share === null) return el("span", { class: "hint" }, "judged by the gate");
  return bar("", `${number(share * 100, 0)} %`, share);
}

export function mountLimitScopes(host) {
  const columns = [
    (row) => ({ text: row.scope, sub: label(row.name), cls: "strong" }),
    (row) => ({ text: label(row.name), title: row.name }),
    (row) => (row.used === null ? DASH : number(Math.abs(row.used), 0, row.name.endsWith("notional") ? 2 : 8)),
    (row) => number(row.most, 0, 8),
    (row) => ({ node: () => useOf(row), key: `${row.used}|${row.most}` }),
  ];
  const table = new LiveTable(host, columns, { empty: { title: "No limit is set for a single scope", text: "A new version may bound venues, desks, strategies, instruments and currencies by themselves." } });
  const show = () => {
    const topic = topicState("policies");
    if (!topic.known) return;
    const active = inForce();
    if (active) table.render(scopeRows(active.limits));
    else table.say(policyWords.title, policyWords.text);
  };
  const ends = ["policies", "positions", "risk_report"].map((name) => listen(name, show));
  return () => ends.forEach((end) => end());
}
