// Small helpers for building the page. Text always goes in as text, never as markup.

export const DASH = "–";

/** An element with attributes and children; strings become text. `class`, `on` (events) and `data` are understood. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (name === "data") Object.assign(made.dataset, value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Set text only when it changed, so that nothing repaints for nothing. */
export function setText(node, text) {
  if (node && node.textContent !== text) node.textContent = text;
}

export function setClass(node, name) {
  if (node && node.className !== name) node.className = name;
}

export function byId(id) {
  return document.getElementById(id);
}

/** A message in place of content: why there is nothing, and what to do. */
export function message(title, text, kind = "empty") {
  return el("div", { class: `message ${kind}` }, el("strong", {}, title), el("span", {}, text));
}

export function icon(kind) {
  return el("span", { class: `icon icon-${kind}`, "aria-hidden": "true" });
}
