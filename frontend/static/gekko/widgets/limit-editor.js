// The draft of a new version of the limits: every field with its unit and help, errors at their place, and the
// difference from the version in force, kept up to date while typing.

import { keyOf, post, replace } from "../core/api.js";
import { toast } from "../core/banners.js";
import { byId, el } from "../core/dom.js";
import { put, topicState } from "../core/store.js";
import { KINDS, diff, label } from "./limit-values.js";

/** Where another example says more than the kind's own. */
const HINTS = { max_currency_notional: "One a line: BTC = 20000.", max_venue_notional: "One a line: paper = 50000." };

export const EDIT = "gekko:edit-limits";

/** The version that holds; undefined before the first. */
export const inForce = () => [...topicState("policies").rows.values()].find((row) => row.object !== "override" && row.state === "active");

/** Descriptions of all fields, as the page brought them. */
export const limitFields = () => JSON.parse(byId("limit-editor").querySelector("[data-fields]").dataset.fields);

export function mountLimitEditor(host) {
  const open = (event) => show(host, event.detail);
  window.addEventListener(EDIT, open);
  return () => window.removeEventListener(EDIT, open);
}

function show(host, draft) {
  const active = inForce();
  const inputs = limitFields().map((field) => makeInput(field, (draft || active)?.limits[field.name]));
  const note = el("input", { id: "limit-note", class: "text", autocomplete: "off", maxlength: 500 });
  note.value = draft?.note || "";
  const problem = el("p", { class: "form-error", role: "alert" });
  const changed = el("div", { class: "limit-diff", "aria-live": "polite" });
  const save = el("button", { type: "submit", class: "button primary" }, draft ? "Save draft" : "Make draft");
  const close = el("button", { type: "button", class: "button quiet", on: { click: () => hide(host) } }, "Close without saving");
  const compare = () => changed.replaceChildren(diff(limitFields(), active?.limits, values(inputs), active ? `Version ${active.number}, in force` : "Nothing in force"));
  const form = el(
    "form",
    { class: "limit-form", novalidate: true },
    groups(inputs),
    el("div", { class: "limit-side" }, el("h3", {}, "What would change"), changed, el("div", { class: "field" }, el("label", { for: "limit-note" }, "Note, for those who publish it"), note), problem, el("div", { class: "row end" }, close, save)),
  );
  form.addEventListener("input", () => compare());
  const key = keyOf();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send({ host, draft, inputs, note, problem, save, key });
  });
  const panel = host.closest(".panel");
  byId("limit-editor-title").textContent = draft ? `Draft ${draft.number}` : `New version, from ${active ? active.number : "nothing"}`;
  host.replaceChildren(form);
  panel.hidden = false;
  compare();
  panel.scrollIntoView({ block: "start" });
  inputs[0].input.focus({ preventScroll: true });
}

function hide(host) {
  host.replaceChildren();
  host.closest(".panel").hidden = true;
  byId("limit-versions").querySelector("button")?.focus();
}

function groups(inputs) {
  const titles = [...new Set(inputs.map(({ field }) => field.group))];
  const boxes = titles.map((title) =>
    el("fieldset", { class: "limit-group" }, el("legend", {}, title), inputs.filter(({ field }) => field.group === title).map(({ box }) => box)),
  );
  return el("div", { class: "limit-groups" }, boxes);
}

function makeInput(field, value) {
  const id = `limit-of-${field.name}`;
  const kind = KINDS[field.kind];
  const common = { id, class: "text", autocomplete: "off", spellcheck: "false", "aria-describedby": `${id}-help ${id}-error` };
  const input = field.kind === "flag" ? choice(common) : el(kind.rows ? "textarea" : "input", { ...common, inputmode: field.kind === "whole" ? "numeric" : null });
  input.value = value === undefined ? "" : kind.show(value);
  const error = el("span", { id: `${id}-error`, class: "field-error" });
  const hint = HINTS[field.name] || kind.hint;
  const help = [field.text, hint, field.required ? "" : "Empty: not set."].filter(Boolean).join(" ");
  const box = el(
    "div",
    { class: `field ${kind.rows ? "wide" : ""}` },
    el("label", { for: id }, label(field.name), field.unit ? el("span", { class: "unit" }, field.unit) : null),
    input,
    error,
    el("span", { id: `${id}-help`, class: "hint" }, help),
  );
  return { field, input, error, box };
}

function choice(attributes) {
  const { spellcheck: _, ...rest } = attributes;
  return el("select", rest, [["", "Not set"], ["yes", "Yes"], ["no", "No"]].map(([value, text]) => el("option", { value }, text)));
}

/** What is typed; where `wrong` is given, it gathers by name what cannot be read. */
function values(inputs, wrong = {}) {
  const found = {};
  for (const { field, input } of inputs) {
    const kind = KINDS[field.kind];
    if (!input.value.trim()) {
      if (field.required && kind.empty) found[field.name] = kind.empty;
      continue;
    }
    try {
      found[field.name] = kind.read(input.value);
    } catch (error) {
      wrong[field.name] = [error.message];
    }
  }
  return found;
}

/** Show each error below its field and go to the first. */
function point(inputs, wrong) {
  for (const { field, input, error } of inputs) {
    const said = wrong[field.name]?.[0] || "";
    error.textContent = said;
    if (said) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }
  inputs.find(({ field }) => wrong[field.name])?.input.focus();
  return inputs.filter(({ field }) => wrong[field.name]).length;
}

async function send({ host, draft, inputs, note, problem, save, key }) {
  const unread = {};
  const order = { limits: values(inputs, unread), note: note.value.trim() };
  problem.textContent = "";
  if (point(inputs, unread)) {
    problem.textContent = "Some fields cannot be read; each says why.";
    return;
  }
  save.disabled = true;
  try {
    const row = draft
      ? await replace(`policies/limits/${draft.number}/`, order, { version: draft.version })
      : await post("policies/limits/", order, { key: key(order) });
    put("policies", String(row.number), row);
    hide(host);
    toast(`Draft ${row.number} is kept; nothing changes until it is published`);
  } catch (error) {
    const marked = point(inputs, error.fields || {});
    problem.textContent = marked ? `${marked === 1 ? "One field is" : `${marked} fields are`} refused. Look for the red border.` : error.words || String(error);
  } finally {
    save.disabled = false;
  }
}
