// Going from page to page without losing the live line: Dash hears of the new address and fills the page.

import { byId } from "../core/dom.js";

export function go(href) {
  const target = new URL(href, location.href);
  if (target.href !== location.href) history.pushState({}, "", target);
  window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
  markCurrent();
}

/** Keep a choice in the address without going anywhere. */
export function keep(name, value) {
  const target = new URL(location.href);
  if (value) target.searchParams.set(name, value);
  else target.searchParams.delete(name);
  history.replaceState(history.state, "", target);
}

export const asked = (name) => new URLSearchParams(location.search).get(name) || "";

function markCurrent() {
  for (const link of document.querySelectorAll(".nav a")) {
    if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

export function startNav() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-nav], a.kpi, a.inner");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(link.href);
  });
  window.addEventListener("popstate", markCurrent);
  window.addEventListener("gekko:page", (event) => {
    document.title = `${event.detail.title} · Gekko`;
    markCurrent();
    if (event.detail.moved) byId("main").focus({ preventScroll: true });
  });
  markCurrent();
}
