// Deciding on a draft of the limits: publish it, ask others to, consent, refuse, discard it.

import { Refused, get, keyOf, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { ask } from "../core/dialogs.js";
import { el } from "../core/dom.js";
import { countdown, since } from "../core/format.js";
import { leave } from "../core/leave.js";
import { put, serverNow, topicState } from "../core/store.js";
import { facts } from "./cells.js";
import { inForce, limitFields } from "./limit-editor.js";
import { diff } from "./limit-values.js";

const CODE = { name: "code", label: "Fresh authenticator code", kind: "code" };
const HOLDS = "It holds from the moment the trading loop takes it, within a second, for every order. What holds now is retired.";

/** The wish to publish a draft that waits for more people; its time may be over before its closing event comes. */
export const asked = (row) => (row.state === "draft" && row.publication?.state === "pending" && new Date(row.publication.expires_at) > serverNow() ? row.publication : null);

const keep = (row) => put("policies", String(row.number), row);
const against = (row) => diff(limitFields(), inForce()?.limits, row.limits, inForce() ? `Version ${inForce().number}, in force` : "Nothing in force");
/** A code is for this version with exactly this content. */
const meant = (row) => `${row.number}:${row.digest}`;

/** Refuse when the draft is not the one that is shown any more. */
function mustBeAsShown(row) {
  const seen = topicState("policies").rows.get(String(row.number));
  if (seen.state === "draft" && seen.digest !== row.digest) throw new Refused(0, { detail: `Draft ${row.number} was changed meanwhile. Close this and look again` });
}

function told(row) {
  keep(row);
  const wish = asked(row);
  if (!wish) return toast(`Version ${row.number} is published`);
  const missing = wish.people - wish.consents.length;
  return toast(`Asked; ${missing === 1 ? "another person" : `${missing} more people`} must approve within ${countdown(new Date(wish.expires_at) - serverNow())}`);
}

/** Ask in the words of what policy wants now. */
export async function publish(row) {
  try {
    askToPublish(row, (await get("policies/limits/publishing/")).people);
  } catch (error) {
    toast(error.words || String(error), "bad");
  }
}

/** `people`: how many policy wants, the one who asks included. */
function askToPublish(row, people) {
  const key = keyOf();
  const others = people === 2 ? "another person approves" : `${people - 1} other people approve`;
  const alone = people <= 1;
  ask({
    title: alone ? `Publish version ${row.number}` : `Ask to publish version ${row.number}`,
    what: alone ? `${HOLDS} The code is for exactly this content.` : `Nothing changes until ${others} it, within an hour; until then the draft stays as it is. The code is for exactly this content.`,
    detail: against(row),
    fields: [CODE],
    confirm: alone ? "Publish" : "Ask to publish",
    danger: alone,
    act: async ({ code }) => {
      mustBeAsShown(row);
      const grant = await leave(code, "policies.publish", meant(row));
      told(await post(`policies/limits/${row.number}/publish/`, { grant }, { key: key(row.version) }));
    },
  });
}

export function consent(row) {
  const wish = row.publication, key = keyOf();
  const last = wish.consents.length + 1 >= wish.people;
  ask({
    title: `Approve version ${row.number}`,
    what: last ? `${HOLDS} The code is for exactly this content.` : "Others must approve it after you. The code is for exactly this content.",
    detail: el(
      "div",
      {},
      facts([
        ["Asked by", `${wish.requested_by}, ${since(wish.requested_at, serverNow())} ago`],
        ["Consented", wish.consents.map(({ name }) => name).join(", ")],
        ["Ends in", countdown(new Date(wish.expires_at) - serverNow())],
        ["Note", row.note],
      ]),
      against(row),
    ),
    fields: [CODE],
    confirm: last ? "Approve and publish" : "Approve",
    danger: true,
    act: async ({ code }) => {
      mustBeAsShown(row);
      const grant = await leave(code, "policies.publish", meant(row));
      told(await post(`policies/publications/${wish.id}/approve/`, { grant }, { key: key(wish.id) }));
    },
  });
}

export async function reject(row, own) {
  try {
    keep(await post(`policies/publications/${row.publication.id}/reject/`, {}));
    toast(own ? "Withdrawn; the draft may be changed again" : "Refused; the draft may be changed again");
  } catch (error) {
    toast(error.words || String(error), "bad");
  }
}

export function discard(row) {
  const key = keyOf();
  ask({
    title: `Discard draft ${row.number}`,
    what: "It stays on record and can never be published. What is in force does not change.",
    fields: [{ name: "reason", label: "Reason, for the audit trail" }],
    confirm: "Discard draft",
    danger: true,
    act: async ({ reason }) => {
      keep(await post(`policies/limits/${row.number}/discard/`, { reason }, { version: row.version, key: key([reason, row.version]) }));
      toast(`Draft ${row.number} is discarded`);
    },
  });
}
