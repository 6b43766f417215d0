// Who earned what since the books began: asked anew after fills and every few seconds, since marks move.

import { get } from "../core/api.js";
import { number } from "../core/format.js";
import { listen } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { asked } from "../frame/nav.js";
import { gain } from "./cells.js";

const EVERY_MS = 5000;
const AFTER_FILL_MS = 700;
const HEADS = { desk: "Desk", strategy: "Strategy", instrument: "Instrument", venue: "Venue" };
/** Rows that are nobody's, in words. */
const OTHERS = { unassigned: "Not from a strategy", netting: "Netting between strategies", "no desk": "In no desk" };

export function mountAttribution(host) {
  let scope = asked("scope") in HEADS ? asked("scope") : "desk";
  let soon = 0;
  const columns = [
    (row) => OTHERS[row.key] || row.key,
    (row) => gain(row.total),
    (row) => gain(row.realised),
    (row) => gain(row.unrealised),
    (row) => number(row.fees),
    (row) => gain(row.funding),
  ];
  const empty = { title: "Nothing was traded yet", text: "Each strategy and instrument has a line here from its first fill on." };
  const table = new LiveTable(host, columns, { empty });
  const load = async () => {
    if (document.hidden) return;
    try {
      const wanted = scope;
      const found = await get(`pnl/attribution/?by=${wanted}`);
      if (wanted !== scope || !host.isConnected) return;
      host.querySelector("thead th").textContent = HEADS[scope];
      table.render(withTotal(found));
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

/** The rows, the largest first, and what they add up to where there is more than one. */
function withTotal({ rows, total }) {
  const nobodys = (row) => row.key in OTHERS;
  const sorted = [...rows].sort((a, b) => nobodys(a) - nobodys(b) || Number(b.total) - Number(a.total));
  const sum = sorted.length > 1 ? [["", { ...total, key: "All together" }]] : [];
  return [...sorted.map((row) => [row.key, row]), ...sum];
}
