// Where a routed parent went: decision by decision in words, what each leg filled, and what routing saved.

import { get } from "../core/api.js";
import { el, message } from "../core/dom.js";
import { average, number, percent, priceOf, quantityOf, timeOfDay, words } from "../core/format.js";
import { facts } from "./cells.js";
import { openOrder } from "./order-drawer.js";

/** A section of the parent's drawer that fills itself; null for a parent that is not routed. */
export function routesOf(row) {
  if (!row.route) return null;
  const host = el("section", { "aria-busy": "true" }, el("h3", {}, "Routes"), el("p", { class: "hint" }, "Reading the decisions"));
  read(row.parent_id, host);
  return host;
}

async function read(parentId, host) {
  const path = `parents/${encodeURIComponent(parentId)}`;
  try {
    const [summed, page] = await Promise.all([get(`${path}/routing/`), get(`${path}/routes/`)]);
    const list = el("ul", { class: "plain-list" }, page.results.map(decision));
    host.replaceChildren(el("h3", {}, "Routes"), sum(summed), list);
    older(host, list, page.next);
    if (!page.results.length) list.replaceWith(el("p", { class: "hint" }, "Nothing was routed yet: what rests stays at the home venue."));
  } catch (error) {
    host.replaceChildren(el("h3", {}, "Routes"), message("The decisions could not be read", error.words || String(error), "error"));
  } finally {
    host.removeAttribute("aria-busy");
  }
}

/** A button for the next page, as long as there is one. */
function older(host, list, next) {
  if (!next) return;
  const more = el("button", { class: "link", type: "button", on: { click: turn } }, "Older decisions");
  host.append(more);
  async function turn() {
    more.disabled = true;
    try {
      const page = await get(next);
      list.append(...page.results.map(decision));
      more.remove();
      older(host, list, page.next);
    } catch (error) {
      more.replaceWith(message("The older decisions could not be read", error.words || String(error), "error"));
    }
  }
}

function sum(summed) {
  const saved = summed.saving === null ? null : Number(summed.saving);
  const parts = summed.venues.map((one) => [
    words(one.venue),
    `${quantityOf(one.quantity, one.symbol).trim()} (${percent(one.share, 1)}) at ${average(one.average_price)}`,
  ]);
  return facts([
    ["Decisions", String(summed.decisions)],
    [saved !== null && saved < 0 ? "Cost more than the home book alone" : "Saved against the home book alone", saved === null ? null : `${number(Math.abs(saved), 2, 4)} (${number(Math.abs(Number(summed.saving_bps)), 2)} bps)`],
    ["Pings of dark venues", summed.pings ? `${summed.ping_hits} of ${summed.pings} met somebody` : null],
    ...parts,
  ]);
}

function decision(row) {
  const less = Number(row.saving);
  const against = less < 0 ? `Cost ${number(-less, 2, 4)} more than the home book alone.` : `Saved ${number(less, 2, 4)} against the home book alone.`;
  return el(
    "li",
    {},
    el("p", {}, el("strong", {}, `${row.number}. ${timeOfDay(row.at)}`), ` ${row.text} ${row.saving === null ? "" : against}`),
    el("ul", {}, row.legs.map(leg)),
  );
}

function leg(order) {
  const did = Number(order.filled_quantity) ? `${quantityOf(order.filled_quantity, order.symbol).trim()} filled at ${average(order.average_price)}` : "nothing filled";
  const price = order.price === null ? "" : ` at ${priceOf(order.price, order.symbol).trim()}`;
  const why = order.detail ? `: ${order.detail}` : "";
  const text = `${words(order.venue)}: ${quantityOf(order.quantity, order.symbol).trim()}${price}, ${did}, ${words(order.status).toLowerCase()}${why}`;
  return el("li", {}, el("button", { class: "link", type: "button", on: { click: () => openOrder(order.client_id) } }, text));
}
