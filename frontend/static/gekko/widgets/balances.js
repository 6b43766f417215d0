// What we hold by our books, whether the venue says the same, and taking the venue's balance where it is right.

import { Refused, keyOf, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { ask } from "../core/dialogs.js";
import { DASH, el } from "../core/dom.js";
import { dateTime, number, since } from "../core/format.js";
import { leave } from "../core/leave.js";
import { may, user, venue } from "../core/may.js";
import { Reading } from "../core/poll.js";
import { serverNow } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { facts, pill } from "./cells.js";

const EMPTY = { title: "No balances yet", text: "They are taken over from the venue when the trading loop first meets it." };
const OPEN = ["pending", "approved"];

const busy = ({ breaks, decisions }) => breaks.breaks.length > 0 || decisions.results.some(isOpen);
const reading = new Reading(
  {
    account: `trading/account/?venue=${encodeURIComponent(venue)}`,
    breaks: `trading/balance-breaks/?venue=${encodeURIComponent(venue)}`,
    decisions: `trading/balance-adoptions/?venue=${encodeURIComponent(venue)}&limit=20`,
    compared: `trading/reconciliations/?venue=${encodeURIComponent(venue)}&limit=20`,
  },
  busy,
);

const isOpen = (decision) => OPEN.includes(decision.state) && Date.parse(decision.expires_at) > serverNow();

export function mountBalances(host) {
  const columns = [
    (row) => ({ text: row.asset, cls: "strong" }),
    (row) => number(row.ours, 0, 8),
    (row) => (row.differs ? number(row.differs.theirs, 0, 8) : DASH),
    (row) => (row.differs ? { text: number(row.differs.difference, 0, 8), cls: "warn" } : DASH),
    (row) => ({ node: () => pill(...standing(row)), key: standing(row).join() }),
    (row) => ({ text: row.compared ? `${since(row.compared.at, serverNow())} ago` : DASH, title: row.compared ? `${dateTime(row.compared.at)} UTC` : "" }),
    (row) => ({ node: () => action(row), key: JSON.stringify([row.differs, row.decision?.id, row.decision?.version]) }),
  ];
  const table = new LiveTable(host, columns, { empty: EMPTY });
  return reading.listen((found, error) => {
    if (found) table.render(rowsOf(found).map((row) => [row.asset, row]));
    else table.say("Balances could not be read", error, "error");
  });
}

/** One row per asset that is held or differs; the comparison is that of the asset's own venue. */
function rowsOf({ account, breaks, decisions, compared }) {
  const held = new Map(account.balances.map((one) => [one.asset, one.total]));
  const differing = new Map(breaks.breaks.map((one) => [one.asset, one]));
  const decided = new Map(decisions.results.filter(isOpen).map((one) => [one.asset, one]));
  return [...new Set([...held.keys(), ...differing.keys()])].sort().map((asset) => ({
    asset,
    ours: held.get(asset) ?? "0",
    differs: differing.get(asset),
    decision: decided.get(asset),
    compared: compared.results.find((run) => run.compared && run.at_venue === (asset.split("@")[1] || "")),
  }));
}

function standing({ differs, decision, compared }) {
  if (decision) return decision.state === "pending" ? ["warning", "Waits for approval"] : ["warning", "Being adopted"];
  if (differs) return ["failed", "Differs"];
  return compared ? ["passed", "Agrees"] : ["neutral", "Not compared yet"];
}

function action({ differs, decision }) {
  const small = (text, label, act) => el("button", { type: "button", class: "button small", "aria-label": label, on: { click: act } }, text);
  if (!may("trading.resume")) return el("span");
  if (decision?.state === "pending" && decision.requested_by !== user) return small("Approve", `Approve adopting ${decision.asset}`, () => approve(decision));
  if (differs && !decision) return small("Adopt", `Adopt the venue's ${differs.asset}`, () => adopt(differs));
  return el("span");
}

const shown = ({ asset, ours, theirs, difference }) => [
  ["Asset", asset],
  ["By our books", number(ours, 0, 8)],
  ["At the venue", number(theirs, 0, 8)],
  ["Difference", number(difference, 0, 8)],
];

function adopt(differs) {
  const key = keyOf();
  ask({
    title: `Adopt the venue's ${differs.asset}`,
    what: "Find out first why they differ: a missing trade must not be papered over. The loop adopts it when it has read all trades again and finds exactly this, as capital that came or went, not as profit.",
    detail: facts(shown(differs)),
    fields: [
      { name: "reason", label: "Reason, for the audit trail" },
      { name: "code", label: "Fresh authenticator code", kind: "code" },
    ],
    confirm: "Adopt",
    danger: true,
    act: async ({ reason, code }) => {
      if (!reason.trim()) throw new Refused(0, { detail: "Give a reason: it goes into the audit trail" });
      const grant = await leave(code, "trading.adopt_balance", `${venue}:${differs.digest}`);
      const { asset, ours, theirs } = differs;
      const order = { venue, asset, ours, theirs, reason: reason.trim() };
      const made = await post("trading/balance-adoptions/", { ...order, grant }, { key: key(order) });
      if (made.state === "pending") toast("Asked; another person must approve it", "warn");
      else toast("Ordered; the loop adopts it at its next reconciliation");
      reading.read();
    },
  });
}

function approve(decision) {
  const key = keyOf();
  ask({
    title: `Approve adopting ${decision.asset}`,
    what: `${decision.requested_by} asked ${since(decision.requested_at, serverNow())} ago: ${decision.reason}`,
    detail: facts(shown(decision)),
    fields: [{ name: "code", label: "Fresh authenticator code", kind: "code" }],
    confirm: "Approve",
    danger: true,
    act: async ({ code }) => {
      const grant = await leave(code, "trading.adopt_balance", `${venue}:${decision.digest}`);
      await post(`trading/balance-adoptions/${decision.id}/approve/`, { grant }, { key: key(decision.id) });
      toast("Approved; the loop adopts it at its next reconciliation");
      reading.read();
    },
  });
}
