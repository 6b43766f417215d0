// Who earned what since the books began: asked anew after fills and every few seconds, since marks move.

import { get } from "../core/api.js";
import { number, signed, words } from "../core/format.js";
import { listen } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { asked } from "../frame/nav.js";
import { gain } from "./cells.js";

const EVERY_MS = 5000;
const AFTER_FILL_MS = 700;
const HEADS = { desk: "Desk", strategy: "Strategy", instrument: "Instrument", venue: "Venue" };
/** Smaller differences are the rounding of what is shown. */
const LEAST_REST = 0.01;

export function mountAttribution(host) {
  let scope = asked("scope") in HEADS ? asked("scope") : "desk";
  let soon = 0;
  const note = host.closest(".panel").querySelector("[data-attribution]");
  const columns = [
    (row) => (scope === "strategy" ? words(row.key) : row.key),
    (row) => gain(row.net),
    (row) => gain(row.before_fees),
    (row) => number(row.fees),
    (row) => number(row.volume),
    (row) => number(row.fills, 0),
    (row) => number(row.held_value),
    (row) => (row.net_bps === null ? "–" : `${number(row.net_bps)} bps`),
  ];
  const empty = { title: "Nothing was traded yet", text: "Each strategy and instrument has a line here from its first fill on." };
  const table = new LiveTable(host, columns, { empty });
  const load = async () => {
    if (document.hidden) return;
    try {
      const wanted = scope;
      const found = await get(`trading/pnl/attribution/?scope=${wanted}`);
      if (wanted !== scope || !host.isConnected) return;
      host.querySelector("thead th").textContent = HEADS[scope];
      table.render(found.rows.map((row) => [row.key, row]));
      note.textContent = rest(found);
    } catch (error) {
      table.say("Results could not be read", error.words || String(error), "error");
    }
  };
  const pick = (event) => {
    scope = event.detail;
    load();
  };
  window.addEventListener("gekko:scope", pick);
  const timer = setInterval(load, EVERY_MS);
  const end = listen("fills", () => {
    clearTimeout(soon);
    soon = setTimeout(load, AFTER_FILL_MS);
  });
  load();
  return () => {
    window.removeEventListener("gekko:scope", pick);
    clearInterval(timer);
    clearTimeout(soon);
    end();
  };
}

/** What the rows do not explain, where it is more than rounding. */
function rest({ unexplained, quote }) {
  if (unexplained === null || Math.abs(Number(unexplained)) < LEAST_REST) return "";
  return `Not from trades: ${signed(unexplained).text} ${quote}, the value change of what was held before the first fill.`;
}
