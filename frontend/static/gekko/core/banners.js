// Banners over the page for what concerns all of it. Each kind is there at most once.

import { byId, el } from "./dom.js";
import { sentence } from "./text.js";

const KINDS = {
  session: { kind: "bad", text: "Your session has ended. Nothing on this page is live any more.", link: "Sign in again" },
  refused: { kind: "bad", text: "You may not see this part of the desk. An administrator can give you the role." },
  fault: { kind: "bad", text: "The server failed to answer. Data on this page may be old.", link: "Reload" },
  halted: { kind: "bad", text: "" },
  parts: { kind: "warn", text: "", link: "See the halted parts", href: "/risk/#scope-halts" },
  topic: { kind: "warn", text: "" },
};

export function banner(name, text = "") {
  const place = byId("banners");
  if (!place) return;
  let shown = place.querySelector(`[data-banner="${name}"]`);
  const said = text || KINDS[name].text;
  if (shown) {
    const span = shown.firstElementChild;
    if (span.textContent !== said) span.textContent = said;
    return;
  }
  const here = location.pathname + location.search;
  const href = name === "session" ? `/login/?next=${encodeURIComponent(here)}` : KINDS[name].href || here;
  const link = KINDS[name].link ? el("a", { href, class: "banner-link" }, KINDS[name].link) : null;
  shown = el("div", { class: `banner ${KINDS[name].kind}`, role: "alert", data: { banner: name } }, el("span", {}, said), link);
  place.append(shown);
}

export function clearBanner(name) {
  byId("banners")?.querySelector(`[data-banner="${name}"]`)?.remove();
}

let timer = 0;
/** A confirmation is read at a glance; a refusal has to be understood. */
const SHOWN_MS = { good: 3000, warn: 5000, bad: 8000 };

/** A short message that goes by itself, or at once when touched. */
export function toast(text, kind = "good") {
  const place = byId("toasts");
  const clear = () => place.replaceChildren();
  place.replaceChildren(el("div", { class: `toast ${kind}`, on: { click: clear } }, sentence(text)));
  clearTimeout(timer);
  timer = setTimeout(clear, SHOWN_MS[kind]);
}

window.addEventListener("gekko:refused", (event) => {
  const { status } = event.detail;
  if (status === 401) banner("session");
  else if (status === 403) banner("refused");
  else banner("fault");
});
