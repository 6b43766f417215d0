// What a parent order cost against the price when it was decided on, and where the market went after its fills.

import { el } from "../core/dom.js";
import { number } from "../core/format.js";
import { serverNow } from "../core/store.js";
import { facts } from "./cells.js";

/** The last look is 30 s after the last fill; what has not come soon after it comes no more. */
const LOOKED_MS = 40_000;
/** Seconds after a fill at which the loop looks at the market. */
const HORIZONS = ["1", "5", "30"];
const UNSEEN = "not measured: the market was not seen, or the loop was down at that moment";

const bps = (value) => (value === null || value === undefined ? null : `${number(value, 1, 2)} bps`);

/** Implementation shortfall by its parts; null until the parent is over or where nothing can be said. */
export function costsOf(row) {
  if (!row.costs) return null;
  const { total, delay, impact, missed, explicit, market } = row.costs;
  return el(
    "section",
    {},
    el("h3", {}, "Cost against the price at decision"),
    facts([
      ["In all", bps(total)],
      ["Delay", bps(delay)],
      ["Impact", bps(impact)],
      ["Not done", bps(missed)],
      ["Fees", bps(explicit)],
      ["Against the market\u2019s average", bps(market)],
      ...afterwards(row),
    ]),
    el("p", { class: "hint" }, "Above zero it cost; after the fills, above zero they were good to have."),
  );
}

function afterwards(row) {
  const found = Object.entries(row.costs.markouts).sort(([a], [b]) => Number(a) - Number(b));
  if (found.length) {
    const missing = HORIZONS.filter((seconds) => !(seconds in row.costs.markouts));
    return [
      ...found.map(([seconds, value]) => [`${seconds} s after the fills`, bps(value)]),
      ...missing.map((seconds) => [`${seconds} s after the fills`, UNSEEN]),
    ];
  }
  if (!Number(row.filled_quantity)) return [];
  const waiting = serverNow() - new Date(row.ended_at).getTime() < LOOKED_MS;
  return [["After the fills", waiting ? "being measured" : UNSEEN]];
}
