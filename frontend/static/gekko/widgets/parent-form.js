// Asking for a parent order: what it is, then a fresh code for exactly what the server makes of it.

import { Refused, keyOf, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { ask } from "../core/dialogs.js";
import { number, priceOf, words } from "../core/format.js";
import { knowInstruments, symbols } from "../core/instruments.js";
import { venue } from "../core/may.js";
import { put } from "../core/store.js";
import { facts } from "./cells.js";

/** Name for people, parameters to start from, and minutes. */
const ALGORITHMS = {
  twap: ["TWAP: equal parts over time", "slices=10", "10"],
  vwap: ["VWAP: along the volume of the day", "", "60"],
  pov: ["Participation: a share of the volume seen", "rate=0.1", ""],
  iceberg: ["Iceberg: a part in sight", "display_quantity=0.01", ""],
  buckets: ["Buckets: a quota per bucket of time", "buckets=10", "10"],
  adaptive: ["Adaptive: least shortfall", "urgency=1 steps=10", "10"],
  sweep: ["Sweep: all at once, taken", "", ""],
};

function suggest(algorithm, set) {
  const [, params, minutes] = ALGORITHMS[algorithm];
  set("params", params);
  set("minutes", minutes);
}

/** Ask for a new parent order: first what it is, then a fresh code for exactly what the server makes of it. */
export async function newParent() {
  await knowInstruments();
  if (!symbols().length) {
    toast("The instruments cannot be read now; try again", "bad");
    return;
  }
  const key = keyOf();
  let shown = null;
  ask({
    title: "New parent order",
    what: "Worked by child orders through the risk gate. Parameters are described in the guide to parent orders.",
    fields: [
      { name: "symbol", label: "Symbol", choices: symbols().map((name) => [name, name]) },
      { name: "side", label: "Side", choices: [["buy", "Buy"], ["sell", "Sell"]] },
      { name: "quantity", label: "Quantity", hint: "In the base asset, in whole lots." },
      { name: "algorithm", label: "Algorithm", choices: Object.entries(ALGORITHMS).map(([name, [text]]) => [name, text]), changed: suggest },
      { name: "params", label: "Parameters", value: ALGORITHMS.twap[1], hint: "name=value, separated by blanks; all take style=take, rest or mixed." },
      { name: "minutes", wire: "duration_s", label: "Minutes to work in", value: ALGORITHMS.twap[2], hint: "Empty for participation, iceberg and sweep: until done." },
      { name: "limit", wire: "limit_price", label: "Limit price", hint: "Empty for none." },
      { name: "route", label: "Where", choices: [["no", "Home venue alone"], ["yes", "Routed over all venues of the pair"]] },
    ],
    confirm: "Look at it",
    act: async (values) => {
      const order = orderOf(values);
      shown = { order, preview: await post("parents/preview/", order) };
      if (shown.preview.halted) throw new Refused(0, { detail: `No order leaves: ${shown.preview.halt}` });
    },
    then: () => sign(shown, key),
  });
}

function orderOf(values) {
  const said = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.trim()]));
  return {
    venue,
    symbol: said.symbol,
    side: said.side.toUpperCase(),
    quantity: said.quantity,
    algorithm: said.algorithm,
    params: parameters(said.params),
    ...(said.minutes ? { duration_s: Number(said.minutes) * 60 } : {}),
    ...(said.limit ? { limit_price: said.limit } : {}),
    ...(said.route === "yes" ? { route: true } : {}),
  };
}

/** What the code is given for is what is shown here, and nothing else. */
function sign({ order, preview }, key) {
  ask({
    title: `${preview.side === "BUY" ? "Buy" : "Sell"} ${preview.quantity} ${preview.base} by ${words(preview.algorithm)}`,
    what: "The code is for exactly this order.",
    detail: facts([
      ["Symbol", preview.symbol],
      ["Parameters, in lots and seconds", parameterText(preview.params)],
      ["Time to work in", preview.duration_s === null ? "Until done" : `${number(preview.duration_s / 60, 0, 2)} min`],
      ["Limit price", preview.limit_price === null ? "None" : priceOf(preview.limit_price, preview.symbol)],
      ["Routed", preview.route ? "Over all venues of the pair" : "No: the home venue alone"],
      ["Value at the mark", preview.value === null ? null : `${number(preview.value)} ${preview.quote}`],
      ["Fee of a taker", preview.fee === null ? null : `${number(preview.fee)} ${preview.quote}`],
    ]),
    fields: [
      { name: "reason", label: "Reason, for the audit trail" },
      { name: "code", label: "Fresh authenticator code", kind: "code" },
    ],
    confirm: "Order",
    act: (values) => send({ ...order, reason: values.reason.trim() }, preview.digest, values.code.trim(), key),
  });
}

async function send(order, digest, code, key) {
  if (!/^\d{6,8}$/.test(code)) throw new Refused(0, { detail: "Enter the six digits that your authenticator shows" });
  const { grant } = await post("auth/step-up/", { code, action: "trading.order", object_id: `${venue}:${digest}` });
  const row = await post("parents/", { ...order, grant }, { key: key(order) });
  put("parents", row.parent_id, row);
  toast("Ordered; the loop takes it on within a second");
}

/** Parameters of a parent for people. */
export const parameterText = (params) => Object.entries(params).map(([name, value]) => `${name} ${typeof value === "object" ? "given" : value}`).join(", ");

/** "slices=10 style=take" as an object; numbers as numbers, quantities as text. */
function parameters(text) {
  const pairs = text.split(/[\s,]+/).filter(Boolean).map((pair) => pair.split("="));
  const bad = pairs.find((pair) => pair.length !== 2 || !pair[1]);
  if (bad) throw new Refused(0, { detail: `Write parameters as name=value, not ${bad.join("=")}`, fields: { field: "params" } });
  return Object.fromEntries(pairs.map(([name, value]) => [name, name.endsWith("_quantity") || !/^[\d.]+$/.test(value) ? value : Number(value)]));
}
