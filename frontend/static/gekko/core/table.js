// A table body that keeps its rows by key and touches only the cells that changed.

import { el, message, setClass, setText } from "./dom.js";

export class LiveTable {
  /** `columns`: functions row -> string | {text, sub, cls, title, node, key}; `empty`: {title, text}.
   *  `sub` is a second line that shows where the panel is too narrow for the column that says it. */
  constructor(host, columns, { empty, onOpen } = {}) {
    this.host = host;
    this.columns = columns;
    this.empty = empty;
    this.onOpen = onOpen;
    this.body = host.querySelector("tbody");
    this.classes = [...host.querySelectorAll("thead th")].map((cell) => cell.className);
    this.rows = new Map();
  }

  /** Show `entries`, [key, row] pairs in order. */
  render(entries) {
    if (!entries.length) {
      this.say(this.empty.title, this.empty.text);
      return;
    }
    this.clear();
    const seen = new Set();
    entries.forEach(([key, row], index) => {
      seen.add(key);
      const line = this.rows.get(key) || this.make(key);
      if (this.body.children[index] !== line.node) this.body.insertBefore(line.node, this.body.children[index] || null);
      this.fill(line, row);
    });
    for (const [key, line] of this.rows) {
      if (!seen.has(key)) {
        line.node.remove();
        this.rows.delete(key);
      }
    }
  }

  /** Words instead of rows. */
  say(title, text, kind = "empty") {
    this.rows.clear();
    const cell = el("td", { colspan: this.columns.length }, message(title, text, kind));
    this.body.replaceChildren(el("tr", { class: "words" }, cell));
  }

  clear() {
    if (!this.rows.size) this.body.replaceChildren();
  }

  make(key) {
    const cells = this.columns.map((_, index) => el("td", { class: this.classes[index] }));
    const node = el("tr", { data: { key } }, cells);
    if (this.onOpen) {
      node.tabIndex = 0;
      node.classList.add("opens");
      node.addEventListener("click", (event) => event.target.closest("button, a") || this.onOpen(key));
      node.addEventListener("keydown", (event) => event.key === "Enter" && event.target === node && this.onOpen(key));
    }
    const line = { node, cells, kept: [] };
    this.rows.set(key, line);
    return line;
  }

  fill(line, row) {
    this.columns.forEach((column, index) => {
      const value = column(row);
      const cell = line.cells[index];
      if (value === null || typeof value !== "object") {
        setText(cell, String(value ?? ""));
        return;
      }
      if (value.node) {
        if (line.kept[index] !== value.key) {
          line.kept[index] = value.key;
          cell.replaceChildren(value.node());
        }
      } else if (value.sub !== undefined) stack(cell, value);
      else setText(cell, value.text);
      setClass(cell, [this.classes[index], value.cls].filter(Boolean).join(" "));
      if (value.title !== undefined && cell.title !== value.title) cell.title = value.title;
    });
  }
}

/** A cell of two lines. */
function stack(cell, { text, sub }) {
  if (cell.childElementCount !== 2) cell.replaceChildren(el("span", { class: "main" }), el("span", { class: "sub" }));
  setText(cell.firstElementChild, text);
  setText(cell.lastElementChild, sub);
}
