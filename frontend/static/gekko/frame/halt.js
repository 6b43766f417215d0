// Halting and resuming: typed words, a reason, a fresh code; then what is wanted and what the loop does.

import { Refused, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { byId, setText } from "../core/dom.js";
import { words } from "../core/format.js";
import { may, mode, venue } from "../core/may.js";
import { listen, put } from "../core/store.js";
import { haltBanner } from "./header.js";

let control = null;
let halting = true;

const EFFECT = {
  halt: "No new order leaves; open orders are cancelled; positions stay as they are. It holds until somebody resumes.",
  resume: "The strategy may send orders again, within the limits in force.",
};

export function startHalt() {
  listen("halts", (rows) => {
    control = [...rows.values()].find((row) => row.observed_state !== undefined && row.venue === venue) || null;
    show();
  });
  byId("halt-button")?.addEventListener("click", openDialog);
  byId("halt-form").addEventListener("submit", submit);
}

function show() {
  if (!control) return;
  const halted = control.state === "HALTED";
  const waits = control.state !== control.observed_state;
  const trading = byId("trading");
  trading.dataset.state = waits ? "waiting" : control.observed_state;
  setText(byId("trading-state"), waits ? `${words(control.observed_state)} → ${words(control.state)}` : words(control.state));
  const button = byId("halt-button");
  if (button) {
    const resume = halted && may("trading.resume");
    setText(button, halted ? "Resume trading" : "Halt trading");
    button.className = `button ${halted ? "outline" : "danger"}`;
    button.disabled = halted && !resume;
  }
  setText(byId("halt-flow"), `Wanted: ${words(control.state)}. The loop is: ${words(control.observed_state)}.`);
  haltBanner(control);
}

function phrase() {
  return `${halting ? "HALT" : "RESUME"} ${mode.toUpperCase()}`;
}

function openDialog() {
  halting = control?.state !== "HALTED";
  const title = halting ? "Halt trading" : "Resume trading";
  setText(byId("halt-title"), title);
  setText(byId("halt-what"), `${words(mode)} venue ${venue}. ${halting ? EFFECT.halt : EFFECT.resume}`);
  setText(byId("halt-phrase"), phrase());
  setText(byId("halt-submit"), title);
  byId("halt-submit").className = `button ${halting ? "danger" : "primary"}`;
  byId("halt-submit").disabled = false;
  setText(byId("halt-error"), "");
  for (const id of ["halt-word", "halt-reason", "halt-code"]) byId(id).value = "";
  byId("halt-dialog").showModal();
  byId("halt-word").focus();
}

function problem() {
  if (byId("halt-word").value.trim().toUpperCase() !== phrase()) return ["halt-word", `Type ${phrase()} to confirm.`];
  if (!byId("halt-reason").value.trim()) return ["halt-reason", "Give a reason: it goes into the audit trail."];
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

async function send() {
  const code = byId("halt-code").value.trim();
  const action = halting ? "trading.halt" : "trading.resume";
  const { grant } = await post("auth/step-up/", { code, action, object_id: venue });
  const order = { venue, reason: byId("halt-reason").value.trim(), grant };
  const answer = await post(halting ? "trading/halts/" : "trading/resume/", order);
  const row = answer.control || answer;
  put("halts", row.venue, row);
  if (answer.resumed === false) toast("Asked to resume; another person must approve it", "warn");
  else toast(halting ? "Halt ordered; waiting for the loop to confirm" : "Resume ordered; waiting for the loop to confirm");
}
