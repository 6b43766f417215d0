// Starting a strategy: a release with its parameters, instruments and share of the capital, and a run of it.

import { Refused, get, keyOf, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { ask } from "../core/dialogs.js";
import { byId } from "../core/dom.js";
import { knowInstruments, symbols } from "../core/instruments.js";
import { leave } from "../core/leave.js";
import { mode, venue } from "../core/may.js";
import { activeRuns } from "../core/runs.js";
import { put } from "../core/store.js";

/** Millionths of the capital that a run has. */
const PARTS = 1e6;
const SECOND_NS = 1e9;
const REAL = "It trades with real money.";
const CODE = { name: "code", label: "Fresh authenticator code", kind: "code" };

/** The share of the capital that a run sizes by; one from before there were shares has all of it. */
export const shareOf = (run) => run.plan?.capital_share || "1";

const leftOf = (runs) => Math.max(PARTS - runs.reduce((sum, run) => sum + Math.round(Number(shareOf(run)) * PARTS), 0), 0) / PARTS;

/** Ask how `card` is to be started, and start it. */
export async function startStrategy(card) {
  let models = [];
  try {
    await knowInstruments();
    if (card.uses_forecasts) models = (await get("fleet/models/?state=ready")).results;
  } catch (error) {
    toast(error.words || String(error), "bad");
    return;
  }
  const key = keyOf();
  const runs = activeRuns();
  byId("drawer").close();
  ask({
    title: `Start ${card.name}`,
    what: `It is started on ${venue} under the limits in force. ${mode === "live" ? REAL : "It trades on paper."}`,
    fields: fieldsOf(card, runs, models),
    confirm: "Start it",
    danger: mode === "live",
    act: async ({ code, reason, ...values }) => {
      const content = await contentOf(card, values);
      const release = await post("deployments/releases/", content, { key: key(content) });
      const grant = await leave(code, "deployments.start", release.id);
      const run = await post("deployments/runs/", { release: release.id, venue, grant, reason: reason.trim() });
      put("deployments", run.id, run);
      toast(`Run ${run.number} of ${card.name} is being started`);
    },
  });
}

function fieldsOf(card, runs, models) {
  const taken = new Set(runs.flatMap((run) => run.plan?.instruments || []));
  const seconds = runs.length ? runs[0].plan.interval_ns / SECOND_NS : 60;
  const left = leftOf(runs);
  return [
    { name: "instruments", label: "Instruments", options: symbols(), value: symbols().filter((symbol) => !taken.has(symbol)) },
    { name: "share", wire: "capital_share", label: "Capital share", hint: runs.length ? `Part of the account's equity to size by; ${left} is left` : "Part of the account's equity to size by; empty for all of it" },
    { name: "params", label: "Parameters", hint: "Such as fast=5, slow=30; defaults when empty" },
    { name: "seconds", wire: "interval_ns", label: "Bar length, seconds", value: String(seconds), hint: runs.length ? "All runs share one length" : "" },
    card.uses_forecasts ? { name: "model", wire: "model_digest", label: "Model", choices: models.map((one) => [one.digest, `${one.name} ${one.digest.replace("sha256:", "").slice(0, 12)}`]) } : null,
    { name: "reason", label: "Reason, for the audit trail" },
    CODE,
  ].filter(Boolean);
}

async function contentOf(card, { instruments, share, params, seconds, model = "" }) {
  const wanted = (await get("policies/limits/?state=active")).results[0];
  if (!wanted) throw new Refused(0, { detail: "No limits are in force: publish some first" });
  if (card.uses_forecasts && !model) throw new Refused(0, { detail: "It needs a model, and none is ready" });
  if (!(Number(seconds) > 0)) throw new Refused(0, { detail: "Give the length of a bar in seconds" });
  return {
    strategy: card.name,
    params: paramsOf(card, params),
    model_digest: model,
    limits_version: wanted.number,
    instruments,
    interval_ns: Math.round(Number(seconds) * SECOND_NS),
    capital_share: share.trim() || null,
  };
}

/** Parameters by name in the types that the strategy says; Refused for a word that is no parameter. */
function paramsOf(card, text) {
  const words = text.split(",").map((word) => word.trim()).filter(Boolean);
  return Object.fromEntries(
    words.map((word) => {
      const [name, value = ""] = word.split("=").map((part) => part.trim());
      const known = card.params.find((one) => one.name === name);
      if (!known || !value) throw new Refused(0, { detail: `Expected a parameter of ${card.name} and its value, was “${word}”` });
      const read = typeof known.default === "number" ? Number(value) : value;
      if (Number.isNaN(read)) throw new Refused(0, { detail: `Expected a number as ${name}, was “${value}”` });
      return [name, read];
    }),
  );
}
