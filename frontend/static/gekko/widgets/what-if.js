// Orders that nobody sends: what the gate would say of them, and what they would change.

import { post, Refused } from "../core/api.js";
import { DASH, el, message } from "../core/dom.js";
import { timeOfDay } from "../core/format.js";
import { gain, pill } from "./cells.js";
import { NONE, money, reports } from "./risk.js";

const MOST = 20;

export function mountWhatIf(host) {
  let built = false;
  return reports((report, refused) => {
    if (built) return;
    if (!report || refused || !report.holdings?.length) {
      host.replaceChildren(message(NONE.title, NONE.text, refused ? "error" : "empty"));
      return;
    }
    built = true;
    host.replaceChildren(...form(report.holdings));
  });
}

function form(holdings) {
  const lines = el("div", { class: "what-if-lines" });
  const answer = el("div", { class: "what-if-answer", "aria-live": "polite" });
  const ask = el("button", { type: "submit", class: "button primary" }, "Show what would change");
  const add = el("button", { type: "button", class: "button quiet" }, "Add an order");
  let made = 0;
  const grow = () => {
    made += 1;
    lines.append(orderLine(holdings, made));
    add.disabled = lines.children.length >= MOST;
  };
  add.addEventListener("click", grow);
  grow();
  const box = el("form", { class: "what-if", novalidate: true }, lines, el("div", { class: "row end" }, add, ask));
  box.addEventListener("submit", async (event) => {
    event.preventDefault();
    ask.disabled = true;
    answer.setAttribute("aria-busy", "true");
    try {
      const orders = [...lines.children].map(read).filter((order) => order.quantity);
      if (!orders.length) throw new Refused(0, { detail: "Enter a quantity first." });
      answer.replaceChildren(...shown(await post("risk/what-if/", { orders }), orders));
    } catch (error) {
      answer.replaceChildren(message("No answer", error instanceof Refused ? error.words : String(error), "error"));
    } finally {
      ask.disabled = false;
      answer.removeAttribute("aria-busy");
    }
  });
  return [el("p", { class: "hint" }, "Nothing is sent. Each order is judged by the gate as if it were the only one; the figures are of all together, without fees."), box, answer];
}

function orderLine(holdings, index) {
  const field = (name, label, input) => el("div", { class: "field" }, el("label", { for: `what-if-${name}-${index}` }, label), input);
  const id = (name) => `what-if-${name}-${index}`;
  const symbols = holdings.map((row) => el("option", { value: row.symbol }, row.symbol));
  const sides = [el("option", { value: "BUY" }, "Buy"), el("option", { value: "SELL" }, "Sell")];
  const text = (name, hint) => el("input", { id: id(name), class: "text", name, inputmode: "decimal", autocomplete: "off", placeholder: hint });
  return el(
    "div",
    { class: "what-if-line" },
    field("symbol", "Instrument", el("select", { id: id("symbol"), class: "text", name: "symbol" }, symbols)),
    field("side", "Side", el("select", { id: id("side"), class: "text", name: "side" }, sides)),
    field("quantity", "Quantity", text("quantity", "0.1")),
    field("price", "Price", text("price", "market")),
  );
}

function read(line) {
  const value = (name) => line.querySelector(`[name="${name}"]`).value.trim();
  const price = value("price");
  return { symbol: value("symbol"), side: value("side"), quantity: value("quantity"), ...(price ? { price } : {}) };
}

function shown(found, orders) {
  return [verdicts(found.gate, orders), table("What would change", ["Figure", "Before", "After", "Change"], figures(found)), table("Stress", ["Scenario", "Before", "After", "Change"], found.stress.filter((row) => row.after !== null).map((row) => [row.name, row.before, row.after, row.change])), el("p", { class: "hint" }, `At the prices of ${timeOfDay(found.as_of)} UTC.`)];
}

function verdicts(gate, orders) {
  if (!gate.available) return message("The gate did not answer", gate.detail, "error");
  const line = (verdict, index) =>
    el(
      "li",
      {},
      pill(verdict.passes ? "passed" : "DENIED", verdict.passes ? "would pass" : "would be denied"),
      el("span", {}, `${orders[index].side === "BUY" ? "Buy" : "Sell"} ${orders[index].quantity} ${orders[index].symbol}`),
      el("span", { class: "hint" }, [...verdict.reasons.map((reason) => reason.text), verdict.detail].filter(Boolean).join("; ")),
    );
  return el("ul", { class: "list", "aria-label": "The gate's verdicts" }, gate.verdicts.map(line));
}

function figures(found) {
  const { before, after } = found;
  const of = (side, name) => side.exposure[name];
  const change = (one, two) => (one === null || two === null ? null : Number(two) - Number(one));
  const line = (title, one, two) => [title, one, two, change(one, two)];
  return [
    ["Value at risk", before.var, after.var, found.incremental_var],
    ["Expected shortfall", before.es, after.es, found.incremental_es],
    line("Gross exposure", of(before, "gross"), of(after, "gross")),
    line("Net exposure", of(before, "net"), of(after, "net")),
    ...(found.var_limit ? [["Limit on value at risk", found.var_limit, found.var_limit, null]] : []),
  ];
}

function table(title, heads, rows) {
  const head = el("tr", {}, heads.map((name, index) => el("th", { scope: "col", class: index ? "num" : "" }, name)));
  const line = ([name, before, after, changed]) => {
    const moved = changed === null || changed === undefined ? { text: DASH, cls: "" } : gain(changed);
    return el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "num" }, money(before)), el("td", { class: "num" }, money(after)), el("td", { class: "num" }, moved.text));
  };
  return el("div", { class: "table-scroll", tabindex: 0, role: "group", "aria-label": title }, el("table", {}, el("caption", { class: "visually-hidden" }, title), el("thead", {}, head), el("tbody", {}, rows.map(line))));
}
