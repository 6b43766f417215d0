// Versions of the limits: what became of each, who is asked to publish one, and what may be done with it.

import { DASH, el } from "../core/dom.js";
import { drawer } from "../core/dialogs.js";
import { countdown, dateTime, since } from "../core/format.js";
import { may, user } from "../core/may.js";
import { listen, serverNow, topicState } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { facts, pill } from "./cells.js";
import { EDIT, inForce, limitFields } from "./limit-editor.js";
import { asked, consent, discard, publish, reject } from "./limit-publish.js";
import { diff } from "./limit-values.js";

const TICK_MS = 5000;
const TONES = { active: "passed", draft: "neutral", waiting: "warning", retired: "closed", discarded: "closed" };
const STATES = { active: "In force", draft: "Draft", retired: "Retired", discarded: "Discarded" };

export const policyWords = { title: "No limits yet", text: "Without published limits no order leaves. A risk officer makes and publishes them." };

/** A draft that people are asked to publish waits for them. */
const stateOf = (row) => (asked(row) ? "waiting" : row.state);
const consents = ({ consents, people }) => `${consents.length} of ${people}`;
const standing = (row) => pill(TONES[stateOf(row)], asked(row) ? `Waiting, ${consents(asked(row))}` : STATES[row.state]);

export function mountLimitVersions(host) {
  const columns = [
    (row) => ({ text: String(row.number), cls: "strong" }),
    (row) => ({ node: () => standing(row), key: `${stateOf(row)}:${row.version}` }),
    (row) => ({ text: row.discard_reason || row.note || DASH, title: row.discard_reason || row.note, cls: "clip" }),
    (row) => ({ text: row.created_by, title: `${dateTime(row.created_at)} UTC` }),
    published,
    (row) => ({ node: () => actions(row), key: `${row.version}:${stateOf(row)}:${inForce()?.number}` }),
  ];
  const table = new LiveTable(host, columns, { empty: policyWords, onOpen: (key) => open(topicState("policies").rows.get(key)) });
  const draft = host.closest(".panel").querySelector('[data-action="draft-limits"]');
  draft?.addEventListener("click", () => edit(null));
  const show = () => {
    const topic = topicState("policies");
    // A draft begins from what is in force: that has to be known first.
    if (draft) draft.disabled = !topic.known;
    if (topic.error) table.say("Limits may not be shown", "Your role does not let you read policies.", "error");
    else if (topic.known) table.render([...topic.rows].filter(([, row]) => row.object !== "override").sort(([, a], [, b]) => b.number - a.number));
  };
  const end = listen("policies", show);
  const timer = setInterval(show, TICK_MS);
  return () => {
    clearInterval(timer);
    end();
  };
}

function published(row) {
  const wish = asked(row);
  if (wish) return { text: `asked by ${wish.requested_by}, ends in ${countdown(new Date(wish.expires_at) - serverNow())}`, title: `${dateTime(wish.expires_at)} UTC` };
  if (row.discarded_at) return { text: `discarded by ${row.discarded_by}`, title: `${dateTime(row.discarded_at)} UTC` };
  return row.published_at ? { text: `${since(row.published_at, serverNow())} ago by ${publishers(row)}`, title: `${dateTime(row.published_at)} UTC` } : DASH;
}

/** Everybody who consented, where it took several. */
const publishers = (row) => (row.publication?.state === "approved" ? row.publication.consents.map(({ name }) => name).join(" and ") : row.published_by);

const edit = (row) => window.dispatchEvent(new CustomEvent(EDIT, { detail: row }));

function actions(row) {
  if (row.state !== "draft" || !may("policies.edit")) return el("span", {});
  const small = (text, act) => el("button", { type: "button", class: "button small", "aria-label": `${text} version ${row.number}`, on: { click: act } }, text);
  const wish = asked(row);
  if (!wish) return el("span", { class: "row end" }, small("Edit", () => edit(row)), small("Discard", () => discard(row)), small("Publish", () => publish(row)));
  const own = wish.requested_by === user;
  const agreed = wish.consents.some(({ name }) => name === user);
  return el("span", { class: "row end" }, agreed ? null : small("Approve", () => consent(row)), small(own ? "Withdraw" : "Refuse", () => reject(row, own)));
}

/** The version before `row` among those known, to say what it changed. */
function before(row) {
  const held = [...topicState("policies").rows.values()].filter((one) => ["active", "retired"].includes(one.state) && one.number < row.number);
  return held.sort((a, b) => b.number - a.number)[0];
}

function open(row) {
  const never = ["draft", "discarded"].includes(row.state);
  const other = never ? inForce() : before(row);
  const title = other ? `Version ${other.number}` : "Nothing before";
  const wish = row.publication;
  drawer(
    `Limits, version ${row.number}`,
    facts([
      ["State", standing(row)],
      ["Note", row.note],
      ["Made", `${dateTime(row.created_at)} UTC by ${row.created_by}`],
      ["Asked to publish", wish ? `${dateTime(wish.requested_at)} UTC by ${wish.requested_by}; ${consents(wish)} consented` : null],
      ["Consents", wish ? wish.consents.map(({ name, at }) => `${name}, ${dateTime(at)} UTC`).join("; ") : null],
      ["Request", wish && !asked(row) && wish.state !== "approved" ? `${wish.state} ${wish.decided_by ? `by ${wish.decided_by}` : ""}`.trim() : null],
      ["Published", row.published_at ? `${dateTime(row.published_at)} UTC by ${publishers(row)}` : null],
      ["Retired", row.retired_at ? `${dateTime(row.retired_at)} UTC` : null],
      ["Discarded", row.discarded_at ? `${dateTime(row.discarded_at)} UTC by ${row.discarded_by}: ${row.discard_reason}` : null],
      ["Digest", row.digest.slice(0, 16)],
    ]),
    el("section", {}, el("h3", {}, never ? "Against what is in force" : "Against the version before"), diff(limitFields(), other?.limits, row.limits, title)),
    other ? el("section", {}, el("h3", {}, "All of it"), diff(limitFields(), {}, row.limits, "Limit unset")) : null,
  );
}
