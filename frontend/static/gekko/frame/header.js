// The header: clock, line, feed age, incidents, market, and how long ago the second factor was given.

import { banner, clearBanner } from "../core/banners.js";
import { DASH, byId, setClass, setText } from "../core/dom.js";
import { since, span } from "../core/format.js";
import { ageOf, isConflated, listen, onSocket, serverNow, socketState, topicState } from "../core/store.js";
import { partWords } from "../core/text.js";

const STALE_MS = 2000;
const DEAD_MS = 10_000;
const WORDS = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  "signed-out": "Sign in again",
  refused: "Refused",
};

let feedAge = null;

export function startHeader() {
  onSocket(showSocket);
  listen("feed", (rows) => showFeed(rows));
  listen("incidents", (rows) => showIncidents(rows));
  setInterval(tick, 500);
  tick();
}

function showSocket(state) {
  const node = byId("socket");
  node.dataset.state = state;
  setText(node.querySelector(".stat-text"), WORDS[state]);
}

function showFeed(rows) {
  const ages = [...rows.values()].map((row) => row.age_ms).filter((age) => age !== null);
  feedAge = ages.length ? Math.max(...ages) : null;
  const first = rows.values().next().value;
  const badge = byId("market");
  badge.hidden = !first;
  if (!first) return;
  const kind = first.market.toUpperCase();
  setText(badge, first.label.toUpperCase().startsWith(kind) ? first.label : `${kind} ${first.label}`);
  badge.title = first.label;
  setClass(badge, `badge market market-${first.market}`);
}

function showIncidents(rows) {
  const open = [...rows.values()].filter((row) => row.state !== "resolved");
  const fresh = open.filter((row) => row.state === "triggered").length;
  const node = byId("incident-count");
  setText(node, String(open.length));
  setClass(node, `stat-value ${fresh ? "bad" : ""}`);
}

export function level(age) {
  if (age === null) return "waiting";
  return age > DEAD_MS ? "dead" : age > STALE_MS ? "stale" : "fresh";
}

function tick() {
  const now = serverNow();
  const clock = byId("clock");
  setText(clock, new Date(now).toISOString().slice(11, 19));
  clock.title = `${new Date(now).toLocaleString()} here`;
  document.querySelectorAll("[data-mfa-age]").forEach((node) => setText(node, since(document.body.dataset.signedIn, now)));
  showFeedAge();
  document.querySelectorAll("[data-asof]").forEach((node) => showAge(node));
}

function showFeedAge() {
  const behind = ageOf("feed");
  const total = feedAge === null || behind === null ? null : feedAge + behind;
  const node = byId("feed-age");
  setText(node, total === null ? DASH : span(total));
  setClass(node, `stat-value ${{ stale: "warn", dead: "bad" }[level(total)] || ""}`);
}

function showAge(node) {
  const topic = node.dataset.asof;
  const age = ageOf(topic);
  const state = topicState(topic).error ? "refused" : level(age);
  const steady = !isConflated(topic) && socketState() === "live";
  const text = { waiting: "waiting", refused: "no permission" }[state] || (steady ? "live" : `${span(age)} ago`);
  setText(node, state === "fresh" && !steady ? "live" : text);
  setClass(node, `asof ${state}`);
  node.title = age === null ? "Nothing has come yet" : `Data from ${span(age)} ago`;
  const panel = node.closest(".panel");
  if (panel && panel.dataset.state !== state) panel.dataset.state = state;
}

/** Over every page while the loop is halted: why, by whom, and whether somebody asked to resume. */
export function partsBanner(halted) {
  if (!halted.length) clearBanner("parts");
  else banner("parts", `Halted: ${halted.map((row) => `${partWords(row.scope)} (${row.reason}, by ${row.by})`).join("; ")}.`);
}

export function haltBanner(control, request) {
  if (control.observed_state !== "HALTED") {
    clearBanner("halted");
    return;
  }
  const asked = request ? ` ${request.requested_by} asked to resume: ${request.reason}. Another person must approve it.` : "";
  banner("halted", `Trading is halted: ${control.reason || control.observed_reason} (by ${control.by}).${asked}`);
}
