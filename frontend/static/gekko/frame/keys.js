// Keyboard: g and a letter goes to a page, ? shows the list. Off while typing, and off altogether if wanted.

import { byId } from "../core/dom.js";
import { go } from "./nav.js";

const KEPT = "gekko-keys";
let after = 0;

const isOn = () => localStorage.getItem(KEPT) !== "off";
const typing = (node) => node.closest("input, textarea, select, [contenteditable]");

export function showKeys() {
  byId("keys-on").checked = isOn();
  byId("keys-dialog").showModal();
}

export function startKeys() {
  byId("keys-on").addEventListener("change", (event) => localStorage.setItem(KEPT, event.target.checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => {
    if (!isOn() || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "?") showKeys();
    else if (event.key === "g") after = event.timeStamp;
    else if (event.timeStamp - after < 1500) {
      after = 0;
      const link = document.querySelector(`.nav [data-key="${CSS.escape(event.key)}"]`);
      if (link) go(link.href);
    }
  });
}
