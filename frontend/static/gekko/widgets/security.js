// One's own sessions, second factor and tokens.

import { Refused, get, post, remove } from "../core/api.js";
import { toast } from "../core/banners.js";
import { el, message } from "../core/dom.js";
import { ask, drawer } from "../core/dialogs.js";
import { dateTime, device, since, words } from "../core/format.js";
import { may } from "../core/may.js";
import { serverNow } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { facts, stateCell } from "./cells.js";

const ago = (iso) => (iso ? { text: `${since(iso, serverNow())} ago`, title: iso } : "never");
const endButton = (label, act) => el("button", { type: "button", class: "button small", on: { click: act } }, label);

export function mountSessions(host) {
  const columns = [
    (row) => ({ text: device(row.user_agent), title: row.user_agent, cls: "wrap" }),
    (row) => row.ip || "–",
    (row) => ({ text: dateTime(row.created_at), title: row.created_at }),
    (row) => ago(row.last_seen_at),
    (row) => (row.current ? stateCell("up", "This one") : row.ended_at ? stateCell("", row.end_reason || "Ended") : stateCell("up", "Active")),
    (row) => ({ key: `${row.id}:${row.ended_at}`, node: () => (row.ended_at ? el("span") : endButton("End", () => end(row))) }),
  ];
  const table = new LiveTable(host, columns, { empty: { title: "No session", text: "Your sign-ins are listed here." } });
  const load = async () => {
    try {
      const page = await get("auth/sessions/?limit=20");
      table.render(page.results.map((row) => [row.id, row]));
    } catch (error) {
      table.say("Sessions could not be read", error.words || String(error), "error");
    }
  };
  const end = (row) =>
    ask({
      title: row.current ? "End this session?" : "End the session?",
      what: `${device(row.user_agent)} from ${row.ip || "an unknown address"}. Its pages stop being live within seconds.`,
      confirm: "End session",
      danger: true,
      act: async () => {
        await remove(`auth/sessions/${row.id}/`);
        toast("Session ended");
        if (!row.current) await load();
      },
    });
  load();
}

export function mountFactors(host) {
  const load = async () => {
    try {
      const { user, session } = await get("auth/state/");
      host.replaceChildren(user ? factorCard(user, session, load) : message("Signed out", "Sign in again."));
    } catch (error) {
      host.replaceChildren(message("Could not be read", error.words || String(error), "error"));
    }
  };
  load();
}

function factorCard(user, session, load) {
  const left = user.recovery_codes_left;
  const renew = () =>
    ask({
      title: "Fresh recovery codes",
      what: "Ten new codes are shown once. All old ones stop working.",
      fields: [{ name: "code", label: "Authenticator code" }],
      confirm: "Make new codes",
      act: async ({ code }) => {
        const made = await post("auth/recovery-codes/", { code });
        drawer("Recovery codes", el("p", {}, "Keep them where you do not keep your authenticator. They are not shown again."), el("pre", { class: "json", tabindex: 0 }, made.codes.join("\n")));
        await load();
      },
    });
  return el(
    "div",
    {},
    facts([
      ["Authenticator", user.authenticator ? user.authenticator.name : "none"],
      ["Last used", user.authenticator?.last_used_at ? `${since(user.authenticator.last_used_at, serverNow())} ago` : "never"],
      ["Recovery codes", el("span", { class: left < 4 ? "warn" : "" }, `${left} left`)],
      ["Roles", user.roles.map(words).join(", ")],
      ["Session ends", session ? `${dateTime(session.expires_at)} UTC` : ""],
      ["Idle for at most", session ? `${Math.round(session.idle_s / 60)} min` : ""],
    ]),
    el(
      "div",
      { class: "row" },
      el("button", { type: "button", class: "button", on: { click: renew } }, "Make new recovery codes"),
      el("button", { type: "button", class: "button", on: { click: () => changePassword(load) } }, "Change password"),
    ),
  );
}

function changePassword(load) {
  ask({
    title: "Change password",
    what: "All your other sessions end. Your authenticator and recovery codes stay.",
    fields: [
      { name: "old", label: "Present password", type: "password", complete: "current-password" },
      { name: "new", label: "New password", type: "password", complete: "new-password" },
      { name: "again", label: "New password, once more", type: "password", complete: "new-password" },
    ],
    confirm: "Change password",
    act: async (values) => {
      if (values.new !== values.again) throw new Refused(0, { detail: "Some fields are refused", fields: { again: ["it is not the same as above"] } });
      await post("auth/password/", { old: values.old, new: values.new });
      toast("Your password is changed; your other sessions have ended");
      await load();
    },
  });
}

export function mountTokens(host) {
  const columns = [
    (row) => row.name,
    (row) => ({ text: row.scopes.join(", "), cls: "clip", title: row.scopes.join(", ") }),
    (row) => dateTime(row.created_at),
    (row) => ago(row.last_used_at),
    (row) => (row.revoked_at ? "revoked" : dateTime(row.expires_at)),
    (row) => ({ key: `${row.id}:${row.revoked_at}`, node: () => (row.revoked_at ? el("span") : endButton("Revoke", () => revoke(row))) }),
  ];
  const table = new LiveTable(host, columns, { empty: { title: "No tokens", text: "Issue one for a script; it may do no more than its scopes." } });
  const load = async () => {
    try {
      const page = await get("auth/tokens/?limit=50");
      table.render(page.results.map((row) => [row.id, row]));
    } catch (error) {
      table.say("Tokens could not be read", error.words || String(error), "error");
    }
  };
  const revoke = (row) =>
    ask({
      title: `Revoke ${row.name}?`,
      what: "Whatever uses it is refused from now on.",
      confirm: "Revoke",
      danger: true,
      act: async () => {
        await remove(`auth/tokens/${row.id}/`);
        await load();
      },
    });
  if (may("tokens.manage")) addIssueButton(host, load);
  load();
}

function addIssueButton(host, load) {
  const held = document.body.dataset.capabilities.split(" ").filter((name) => name.endsWith(".view"));
  const issue = () =>
    ask({
      title: "Issue an API token",
      what: "It is shown once and works for 30 days.",
      fields: [
        { name: "name", label: "Name" },
        { name: "scopes", label: "Scopes", options: held, value: ["trading.view"] },
      ],
      confirm: "Issue",
      act: async ({ name, scopes }) => {
        const made = await post("auth/tokens/", { name, scopes, lifetime_days: 30 });
        drawer("New token", el("p", {}, "Copy it now; it is not shown again."), el("pre", { class: "json", tabindex: 0 }, made.token));
        await load();
      },
    });
  const actions = host.closest(".panel").querySelector(".panel-actions");
  if (!actions.children.length) actions.append(el("button", { type: "button", class: "button", on: { click: issue } }, "Issue token"));
}
