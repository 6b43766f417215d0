// Dialogs: a question with fields, and a drawer for details. The browser's own <dialog> keeps focus and Escape right.

import { Refused } from "./api.js";
import { byId, el } from "./dom.js";

/** More fields than this stand in two columns. */
const MANY = 5;

document.addEventListener("click", (event) => {
  const closer = event.target.closest("[data-close]");
  if (closer) closer.closest("dialog").close();
});

/** Ask for `fields` [{name, wire, label, value, hint, type, kind, complete, options, choices, changed}] and run `act(values)`.
 *  Refused, it stays open and says why: below the field that the server names (by its name or `wire`), else at the end.
 *  `changed(value, set)` may set other fields; `detail` is shown above the fields; `then` may ask the next question. */
export function ask({ title, what, detail = null, fields = [], confirm, danger = false, act, then = null }) {
  const dialog = byId("ask-dialog");
  const form = byId("ask-form");
  byId("ask-title").textContent = title;
  byId("ask-what").textContent = what;
  byId("ask-error").textContent = "";
  const inputs = fields.map((field) => makeField(field));
  byId("ask-fields").replaceChildren(...[detail, ...inputs.map((input) => input.box)].filter(Boolean));
  dialog.classList.toggle("wide", Boolean(detail) || fields.length > MANY);
  byId("ask-fields").classList.toggle("two", fields.length > MANY);
  const set = (name, value) => (inputs.find((one) => one.name === name).input.value = value);
  fields.forEach((field, index) => field.changed && inputs[index].input.addEventListener("change", (event) => field.changed(event.target.value, set)));
  const submit = byId("ask-submit");
  submit.textContent = confirm;
  submit.className = `button ${danger ? "danger" : "primary"}`;
  submit.disabled = false;
  form.onsubmit = async (event) => {
    event.preventDefault();
    submit.disabled = true;
    byId("ask-error").textContent = "";
    point(inputs, {});
    try {
      await act(Object.fromEntries(inputs.map((input) => [input.name, input.read()])));
      dialog.close();
      then?.();
    } catch (error) {
      const said = error instanceof Refused ? error.words : String(error);
      byId("ask-error").textContent = point(inputs, wrongOf(error, said)) ? "" : said;
    } finally {
      submit.disabled = false;
    }
  };
  if (!dialog.open) dialog.showModal();
  inputs[0]?.input.focus();
}

/** What is wrong by field: the server says it for each, or names the one that all of it is about. */
const wrongOf = ({ fields = {} }, said) => (typeof fields.field === "string" ? { [fields.field.split(".")[0]]: [said] } : fields);

/** Show what is wrong below the field that it is about, and go to the first; whether there was one. */
function point(inputs, wrong) {
  const said = ({ name, wire }) => [wrong[name], wrong[wire]].filter(Array.isArray).map(([text]) => String(text))[0] || "";
  for (const one of inputs) {
    if (!one.error) continue;
    one.error.textContent = said(one);
    if (said(one)) one.input.setAttribute("aria-invalid", "true");
    else one.input.removeAttribute("aria-invalid");
  }
  const first = inputs.find((one) => one.error && said(one));
  first?.input.focus();
  return Boolean(first);
}

function makeField({ name, wire = name, label, type = "text", kind = "", complete = "off", value = "", hint = "", options, choices }) {
  const id = `ask-${name}`;
  if (options) {
    const boxes = options.map((option) =>
      el("label", { class: "check" }, el("input", { type: "checkbox", value: option, checked: value.includes(option) }), option),
    );
    const box = el("fieldset", { class: "field" }, el("legend", {}, label), el("div", { class: "checks" }, boxes));
    const read = () => [...box.querySelectorAll("input:checked")].map((input) => input.value);
    return { name, box, input: box.querySelector("input"), read };
  }
  const tag = choices ? "select" : type === "textarea" ? "textarea" : "input";
  const asCode = kind === "code" ? { inputmode: "numeric", autocomplete: "one-time-code", maxlength: 8 } : { autocomplete: complete, maxlength: type === "password" ? 1024 : 500 };
  const input = el(tag, { id, class: `text ${kind}`.trim(), type: tag === "input" ? type : null, "aria-describedby": `${id}-error${hint ? ` ${id}-hint` : ""}`, ...asCode });
  if (choices) input.append(...choices.map(([of, text]) => el("option", { value: of }, text)));
  if (value || !choices) input.value = value;
  const error = el("span", { id: `${id}-error`, class: "field-error" });
  const help = hint ? el("span", { id: `${id}-hint`, class: "hint" }, hint) : null;
  return { name, wire, input, error, box: el("div", { class: "field" }, el("label", { for: id }, label), input, error, help), read: () => input.value };
}

/** Show details at the side. */
export function drawer(title, ...content) {
  byId("drawer-title").textContent = title;
  byId("drawer-body").replaceChildren(...content.filter(Boolean));
  const dialog = byId("drawer");
  if (!dialog.open) dialog.showModal();
}
