// Dialogs: a question with fields, and a drawer for details. The browser's own <dialog> keeps focus and Escape right.

import { Refused } from "./api.js";
import { byId, el } from "./dom.js";

document.addEventListener("click", (event) => {
  const closer = event.target.closest("[data-close]");
  if (closer) closer.closest("dialog").close();
});

/** Ask for `fields` [{name, label, value, required, type}] and run `act(values)`; stays open with the reason if refused.
 *  `detail` is shown above the fields; `then` may ask the next question after a good answer. */
export function ask({ title, what, detail = null, fields = [], confirm, danger = false, act, then = null }) {
  const dialog = byId("ask-dialog");
  const form = byId("ask-form");
  byId("ask-title").textContent = title;
  byId("ask-what").textContent = what;
  byId("ask-error").textContent = "";
  const inputs = fields.map((field) => makeField(field));
  byId("ask-fields").replaceChildren(...[detail, ...inputs.map((input) => input.box)].filter(Boolean));
  const submit = byId("ask-submit");
  submit.textContent = confirm;
  submit.className = `button ${danger ? "danger" : "primary"}`;
  submit.disabled = false;
  form.onsubmit = async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      await act(Object.fromEntries(inputs.map((input) => [input.name, input.read()])));
      dialog.close();
      then?.();
    } catch (error) {
      byId("ask-error").textContent = error instanceof Refused ? error.words : String(error);
    } finally {
      submit.disabled = false;
    }
  };
  if (!dialog.open) dialog.showModal();
  inputs[0]?.input.focus();
}

function makeField({ name, label, type = "text", kind = "", value = "", options }) {
  const id = `ask-${name}`;
  if (options) {
    const boxes = options.map((option) =>
      el("label", { class: "check" }, el("input", { type: "checkbox", value: option, checked: value.includes(option) }), option),
    );
    const box = el("fieldset", { class: "field" }, el("legend", {}, label), el("div", { class: "checks" }, boxes));
    const read = () => [...box.querySelectorAll("input:checked")].map((input) => input.value);
    return { name, box, input: box.querySelector("input"), read };
  }
  const tag = type === "textarea" ? "textarea" : "input";
  const asCode = kind === "code" ? { inputmode: "numeric", autocomplete: "one-time-code", maxlength: 8 } : { autocomplete: "off", maxlength: 500 };
  const input = el(tag, { id, class: `text ${kind}`.trim(), type: tag === "input" ? type : null, ...asCode });
  input.value = value;
  return { name, input, box: el("div", { class: "field" }, el("label", { for: id }, label), input), read: () => input.value };
}

/** Show details at the side. */
export function drawer(title, ...content) {
  byId("drawer-title").textContent = title;
  byId("drawer-body").replaceChildren(...content.filter(Boolean));
  const dialog = byId("drawer");
  if (!dialog.open) dialog.showModal();
}
