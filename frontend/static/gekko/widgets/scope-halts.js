// Halting a part of the desk: which parts are halted and why, halting one, resuming, approving another person's wish.

import { Refused, get, keyOf, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { ask } from "../core/dialogs.js";
import { el } from "../core/dom.js";
import { dateTime, since } from "../core/format.js";
import { leave } from "../core/leave.js";
import { may, user } from "../core/may.js";
import { Reading } from "../core/poll.js";
import { listen, serverNow } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { partWords } from "../core/text.js";
import { pill } from "./cells.js";

const EMPTY = { title: "No part is halted", text: "A desk, a strategy, a venue or an instrument can be halted while the rest trades on." };
const EFFECT = "No new order of it leaves on any venue, and its open orders are cancelled; positions stay. It holds over restarts until somebody resumes it.";

const waiting = (halts) => halts.results.some((halt) => !halt.effective_at);
const reading = new Reading({ halts: "trading/scope-halts/?open=true&limit=100" }, ({ halts }) => waiting(halts));

const asked = (halt) => Boolean(halt.requested_by) && Date.parse(halt.request_expires_at) > serverNow();

export function mountScopeHalts(host) {
  const columns = [
    (halt) => ({ text: partWords(halt.scope), cls: "strong" }),
    (halt) => ({ node: () => pill(...standing(halt)), key: standing(halt).join() }),
    (halt) => ({ text: halt.reason, title: halt.reason, cls: "wrap" }),
    (halt) => ({ text: halt.halted_by, sub: halt.automatic ? "by itself" : "" }),
    (halt) => ({ text: `${since(halt.halted_at, serverNow())} ago`, title: `${dateTime(halt.halted_at)} UTC` }),
    (halt) => ({ node: () => action(halt), key: `${halt.id}:${halt.requested_by}:${asked(halt)}` }),
  ];
  const table = new LiveTable(host, columns, { empty: EMPTY });
  host.closest(".panel").querySelector('[data-action="halt-part"]')?.addEventListener("click", halt);
  let known = "";
  const ends = [
    reading.listen((found, error) => {
      if (found) table.render(found.halts.results.map((one) => [one.id, one]));
      else table.say("Halted parts could not be read", error, "error");
    }),
    listen("halts", (rows) => {
      const now = JSON.stringify([...rows.values()].filter((row) => row.object === "scope"));
      if (known && now !== known) reading.read();
      known = now;
    }),
  ];
  return () => ends.forEach((end) => end());
}

function standing(halt) {
  if (asked(halt)) return ["warning", `${halt.requested_by} asks to resume`];
  return halt.effective_at ? ["failed", "Halted"] : ["warning", "Halt ordered"];
}

function action(halt) {
  if (!may("trading.resume")) return el("span");
  const approving = asked(halt) && halt.requested_by !== user;
  const text = approving ? "Approve" : "Resume";
  const label = `${text}: ${partWords(halt.scope)}`;
  return el("button", { type: "button", class: "button small", "aria-label": label, on: { click: () => resume(halt, approving) } }, text);
}

const CODE = { name: "code", label: "Fresh authenticator code", kind: "code" };

function reasonOf({ reason }) {
  if (!reason.trim()) throw new Refused(0, { detail: "Give a reason: it goes into the audit trail" });
  return reason.trim();
}

async function halt() {
  let parts;
  try {
    ({ scopes: parts } = await get("trading/scopes/known/"));
  } catch (error) {
    toast(error.words || String(error), "bad");
    return;
  }
  const key = keyOf();
  ask({
    title: "Halt a part",
    what: EFFECT,
    fields: [{ name: "scope", label: "What", choices: parts.map((scope) => [scope, partWords(scope)]) }, { name: "reason", label: "Reason, for the audit trail" }, CODE],
    confirm: "Halt it",
    danger: true,
    act: async (values) => {
      const order = { scope: values.scope, reason: reasonOf(values) };
      const grant = await leave(values.code, "trading.halt", order.scope);
      await post("trading/scope-halts/", { ...order, grant }, { key: key(order) });
      toast(`Halt of ${partWords(order.scope)} ordered`);
      reading.read();
    },
  });
}

function resume(halt, approving) {
  const key = keyOf();
  ask({
    title: `${approving ? "Approve resuming" : "Resume"} ${partWords(halt.scope)}`,
    what: approving ? `${halt.requested_by} asked: ${halt.request_reason}` : `Halted by ${halt.halted_by}: ${halt.reason}`,
    fields: approving ? [CODE] : [{ name: "reason", label: "Reason, for the audit trail" }, CODE],
    confirm: approving ? "Approve" : "Resume",
    act: async (values) => {
      const order = approving ? {} : { scope: halt.scope, reason: reasonOf(values) };
      const grant = await leave(values.code, "trading.resume", halt.scope);
      const path = approving ? `trading/scope-halts/${halt.id}/approve/` : "trading/scope-resume/";
      const answer = await post(path, { ...order, grant }, { key: key({ ...order, id: halt.id }) });
      if (answer.resumed === false) toast("Asked to resume; another person must approve it", "warn");
      else toast(`${partWords(halt.scope)} may trade again`);
      reading.read();
    },
  });
}
