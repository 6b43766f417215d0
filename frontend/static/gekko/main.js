// Starts the frame and gives life to each widget that Dash puts on the page.

import { start } from "./core/store.js";
import { startHalt } from "./frame/halt.js";
import { startHeader } from "./frame/header.js";
import { startKeys } from "./frame/keys.js";
import { startMenu } from "./frame/menu.js";
import { startNav } from "./frame/nav.js";
import { WIDGETS } from "./widgets/index.js";

const living = new Map();
let shown = "";

/** Mount what is new and end what is gone. */
function attend() {
  for (const [node, end] of living) {
    if (!node.isConnected) {
      living.delete(node);
      end();
    }
  }
  for (const node of document.querySelectorAll("#main [data-widget]")) {
    if (living.has(node)) continue;
    const mount = WIDGETS[node.dataset.widget];
    if (mount) living.set(node, mount(node) || (() => {}));
  }
  const page = document.querySelector("#main [data-page]");
  if (page && page.dataset.page !== shown) {
    const moved = shown !== "";
    shown = page.dataset.page;
    window.dispatchEvent(new CustomEvent("gekko:page", { detail: { title: page.dataset.title, moved } }));
  }
}

startHeader();
startHalt();
startMenu();
startNav();
startKeys();
let soon = 0;
new MutationObserver(() => {
  soon ||= requestAnimationFrame(() => {
    soon = 0;
    attend();
  });
}).observe(document.getElementById("main"), { childList: true, subtree: true });
attend();
start();
