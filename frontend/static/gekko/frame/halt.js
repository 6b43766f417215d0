// Halting and resuming: typed words, a reason, a fresh code; then what is wanted and what the loop does.

import { Refused, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { byId, setText } from "../core/dom.js";
import { words } from "../core/format.js";
import { may, mode, venue } from "../core/may.js";
import { listen, put, serverNow } from "../core/store.js";
import { haltBanner, partsBanner } from "./header.js";

// What the button does now: halt, resume, or approve what another person asked for.
let control = null;
let request = null;
let act = "halt";

const TITLE = { halt: "Halt trading", resume: "Resume trading", approve: "Approve resuming" };
const EFFECT = {
  halt: "No new order leaves; open orders are cancelled; positions stay as they are. It holds until somebody resumes.",
  resume: "The strategy may send orders again, within the limits in force.",
  approve: "The strategy may send orders again, within the limits in force.",
};

export function startHalt() {
  listen("halts", (rows) => {
    const mine = [...rows.values()].filter((row) => row.venue === venue);
    control = mine.find((row) => row.object === "control") || null;
    request = mine.find((row) => row.object === "resume_request" && row.state === "pending" && serverNow() < Date.parse(row.expires_at)) || null;
    show();
    partsBanner([...rows.values()].filter((row) => row.object === "scope" && row.halted));
  });
  byId("halt-button")?.addEventListener("click", openDialog);
  byId("halt-form").addEventListener("submit", submit);
}

function offered() {
  if (control?.state !== "HALTED") return "halt";
  return request && request.requested_by !== document.body.dataset.user ? "approve" : "resume";
}

function show() {
  if (!control) return;
  const waits = control.state !== control.observed_state;
  byId("trading").dataset.state = waits ? "waiting" : control.observed_state;
  setText(byId("trading-state"), waits ? `${words(control.observed_state)} → ${words(control.state)}` : words(control.state));
  const button = byId("halt-button");
  if (button) {
    const halts = offered() === "halt";
    setText(button, TITLE[offered()]);
    button.className = `button ${halts ? "danger" : "outline"}`;
    button.disabled = !halts && !may("trading.resume");
  }
  setText(byId("halt-flow"), standing(control));
  haltBanner(control, request);
}

const NOW = {
  ACTIVE: "Trading is on: the strategy may send orders.",
  REDUCING: "Only orders that make positions smaller are let out.",
  HALTED: "Trading is halted: no order leaves.",
};
const ORDERED = { ACTIVE: "Resuming has been ordered", REDUCING: "Reducing has been ordered", HALTED: "A halt has been ordered" };

/** How it stands now, and what was ordered and is not done yet. */
function standing({ state, observed_state: observed }) {
  const now = NOW[observed] || "The trading loop has not said yet what it does.";
  return state === observed ? now : `${ORDERED[state]}; the trading loop has not confirmed it yet. ${now}`;
}

function phrase() {
  return `${act === "halt" ? "HALT" : "RESUME"} ${mode.toUpperCase()}`;
}

function openDialog() {
  act = offered();
  const asked = act === "approve" ? ` ${request.requested_by} asked: ${request.reason}` : "";
  setText(byId("halt-title"), TITLE[act]);
  setText(byId("halt-what"), `${words(mode)} venue ${venue}. ${EFFECT[act]}${asked}`);
  setText(byId("halt-phrase"), phrase());
  setText(byId("halt-submit"), TITLE[act]);
  byId("halt-submit").className = `button ${act === "halt" ? "danger" : "primary"}`;
  byId("halt-submit").disabled = false;
  setText(byId("halt-error"), "");
  for (const id of ["halt-word", "halt-reason", "halt-code"]) byId(id).value = "";
  byId("halt-reason").closest(".field").hidden = act === "approve";
  byId("halt-dialog").showModal();
  byId("halt-word").focus();
}

function problem() {
  if (byId("halt-word").value.trim().toUpperCase() !== phrase()) return ["halt-word", `Type ${phrase()} to confirm.`];
  if (act !== "approve" && !byId("halt-reason").value.trim()) return ["halt-reason", "Give a reason: it goes into the audit trail."];
  if (!/^\d{6,8}$/.test(byId("halt-code").value.trim())) return ["halt-code", "Enter the six digits that your authenticator shows."];
  return null;
}

async function submit(event) {
  event.preventDefault();
  const wrong = problem();
  setText(byId("halt-error"), wrong ? wrong[1] : "");
  if (wrong) {
    byId(wrong[0]).focus();
    return;
  }
  byId("halt-submit").disabled = true;
  try {
    await send();
    byId("halt-dialog").close();
  } catch (error) {
    setText(byId("halt-error"), error instanceof Refused ? error.words : String(error));
    byId("halt-code").value = "";
  } finally {
    byId("halt-submit").disabled = false;
  }
}

const DONE = {
  halt: "Halt ordered; the header shows when trading has stopped",
  resume: "Resuming ordered; the header shows when trading goes on",
  approve: "Approved; the header shows when trading goes on",
};
const PATH = {
  halt: () => "trading/halts/",
  resume: () => "trading/resume/",
  approve: () => `trading/resume-requests/${request.id}/approve/`,
};

async function send() {
  const code = byId("halt-code").value.trim();
  const action = act === "halt" ? "trading.halt" : "trading.resume";
  const { grant } = await post("auth/step-up/", { code, action, object_id: venue });
  const order = act === "approve" ? { grant } : { venue, reason: byId("halt-reason").value.trim(), grant };
  const answer = await post(PATH[act](), order);
  const row = answer.control || answer;
  put("halts", row.venue, row);
  if (answer.resumed === false) toast("Asked to resume; another person must approve it", "warn");
  else toast(DONE[act]);
}
