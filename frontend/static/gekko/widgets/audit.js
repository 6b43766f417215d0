// The audit trail: entries by the filters of the address, the proof, exports, checkpoints.

import { get, post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { byId, el, message } from "../core/dom.js";
import { drawer } from "../core/dialogs.js";
import { dateTime, factor, number, timeOfDay, words } from "../core/format.js";
import { may } from "../core/may.js";
import { serverNow } from "../core/store.js";
import { LiveTable } from "../core/table.js";
import { asked, keep } from "../frame/nav.js";
import { facts, pill } from "./cells.js";

const FILTERS = ["actor", "event", "object_type", "object_id", "request_id"];
const PAUSE_MS = 350;

function query() {
  const found = new URLSearchParams({ limit: "50" });
  for (const name of FILTERS) if (asked(name)) found.set(name, asked(name));
  return found.toString();
}

/** The beginning of a long id; the whole one is in the title and in the entry. */
const shortened = (id) => (id.length > 16 ? `${id.slice(0, 13)}…` : id);

const OUTCOMES = { success: ["● Success", "good"], denied: ["■ Denied", "bad"], failure: ["■ Failure", "bad"], failed: ["■ Failed", "bad"] };
const outcome = (code) => {
  const [text, cls] = OUTCOMES[code] || [words(code), ""];
  return { text, cls };
};

export function mountAuditEntries(host) {
  const entries = new Map();
  let next = null;
  const columns = [
    (row) => String(row.seq),
    (row) => ({ text: dateTime(row.at), title: row.at }),
    (row) => row.actor_name || row.actor_id,
    (row) => ({ text: row.event, sub: `${timeOfDay(row.at)} · ${row.actor_name || row.actor_id}`, title: row.code, cls: "mono" }),
    (row) => ({ text: `${words(row.object_type)} ${shortened(row.object_id)}`, cls: "clip", title: row.object_id }),
    (row) => ({ ...outcome(row.outcome), sub: row.mfa === "none" ? "" : factor(row.mfa) }),
    (row) => factor(row.mfa),
  ];
  const table = new LiveTable(host, columns, {
    empty: { title: "No entry fits", text: "Widen the filters: an event may end in *, such as trading.*" },
    onOpen: (key) => openEntry(entries.get(key)),
  });
  const older = byId("entries").querySelector('[data-action="older"]');
  const load = async (target, fresh) => {
    try {
      const page = await get(target);
      if (fresh) entries.clear();
      for (const row of page.results) entries.set(String(row.seq), row);
      next = page.next;
      table.render([...entries]);
    } catch (error) {
      if (fresh) table.say("The trail could not be read", error.words || String(error), "error");
      else toast(error.words || String(error), "bad");
    }
    older.hidden = !next;
  };
  older.addEventListener("click", () => next && load(next, false));
  const again = () => load(`audit/entries/?${query()}`, true);
  window.addEventListener("gekko:audit", again);
  again();
  return () => window.removeEventListener("gekko:audit", again);
}

export function mountAuditFilters(host) {
  let timer = 0;
  host.addEventListener("input", (event) => {
    const name = event.target.id.replace("filter-", "");
    if (!FILTERS.includes(name)) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      keep(name, event.target.value.trim());
      window.dispatchEvent(new CustomEvent("gekko:audit"));
    }, PAUSE_MS);
  });
}

function openEntry(row) {
  drawer(
    `Entry ${row.seq}`,
    el("p", { class: "row" }, el("code", {}, row.event), pill(row.outcome)),
    row.reason ? el("p", {}, row.reason) : null,
    changes(row),
    facts([
      ["Time", `${dateTime(row.at)} UTC`],
      ["Who", `${row.actor_name} (${row.actor_kind})`],
      ["Roles", row.roles.join(", ")],
      ["Second factor", [factor(row.mfa), row.evidence].filter(Boolean).join(", ")],
      ["From", [row.ip, row.origin].filter(Boolean).join(", ")],
      ["Object", `${row.object_type} ${row.object_id}`],
      ["Request", row.request_id],
      ["Previous hash", row.prev_hash],
      ["Leaf hash", row.leaf_hash],
    ]),
  );
}

/** Before and after, field by field; what did not change is left out. */
function changes(row) {
  const before = row.before || {};
  const after = row.after || {};
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const differ = names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  if (!differ.length) return el("p", { class: "hint" }, "This entry changed no field.");
  const text = (value) => (value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value));
  const line = (name) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "was" }, text(before[name])), el("td", { class: "is" }, text(after[name])));
  const head = el("tr", {}, ["Field", "Before", "After"].map((title) => el("th", { scope: "col" }, title)));
  return el("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Changes" }, el("table", { class: "diff" }, el("thead", {}, head), el("tbody", {}, differ.map(line))));
}

export function mountAuditProof(host) {
  const show = (run) => host.replaceChildren(run ? proof(run) : message("Not verified by hand yet", "The trail is verified by itself every five minutes; you can do it now."));
  const load = async () => {
    try {
      show((await get("audit/verify/?limit=1")).results[0]);
    } catch (error) {
      host.replaceChildren(message("The last result could not be read", error.words || String(error), "error"));
    }
  };
  const button = byId("proof").querySelector('[data-action="verify"]');
  button?.addEventListener("click", async () => {
    button.disabled = true;
    button.textContent = "Verifying";
    try {
      show(await post("audit/verify/"));
      window.dispatchEvent(new CustomEvent("gekko:audit"));
    } catch (error) {
      toast(error.words || String(error), "bad");
    } finally {
      button.disabled = false;
      button.textContent = "Verify chain";
    }
  });
  load();
}

function proof(run) {
  const first = run.findings[0];
  const verdict = run.ok ? `Unbroken: ${number(run.size, 0)} entries` : `Broken at entry ${first?.seq ?? "?"}: ${first?.detail ?? ""}`;
  return el(
    "div",
    {},
    el("p", { class: `verdict ${run.ok ? "good" : "bad"}`, role: "status" }, verdict),
    facts([
      ["Verified", `${dateTime(run.finished_at)} UTC by ${run.by}`],
      ["Checkpoints", `${number(run.checkpoints, 0)} signatures hold, in the database and in the file`],
      ["Root", String(run.root).slice(0, 24)],
    ]),
  );
}

export function mountAuditExport(host) {
  if (!may("audit.export")) {
    host.replaceChildren(message("Not open to you", "Exporting needs the role auditor."));
    return;
  }
  const links = el("ul", { class: "list" });
  const make = el("button", { type: "button", class: "button" }, "Make a report of the last 24 h");
  make.addEventListener("click", async () => {
    make.disabled = true;
    const end = new Date(serverNow());
    const start = new Date(end.getTime() - 86_400_000);
    const filters = Object.fromEntries(FILTERS.filter((name) => asked(name)).map((name) => [name, asked(name)]));
    try {
      const report = await post("audit/reports/", { start: start.toISOString(), end: end.toISOString(), filters });
      links.prepend(reportLine(report));
      toast(`Report of ${report.entries} entries is ready`);
    } catch (error) {
      toast(error.words || String(error), "bad");
    } finally {
      make.disabled = false;
    }
  });
  host.replaceChildren(el("p", { class: "hint" }, "With the filters of this page and a fresh signed checkpoint."), make, links);
  get("audit/reports/?limit=3").then(
    (page) => links.append(...page.results.map(reportLine)),
    (error) => links.append(el("li", { class: "bad" }, error.words || String(error))),
  );
}

function reportLine(report) {
  const link = ([form, href]) => el("a", { href, download: true, class: "chip" }, form.toUpperCase());
  return el("li", {}, el("strong", {}, timeOfDay(report.created_at)), el("span", { class: "hint" }, `${number(report.entries, 0)} entries`), Object.entries(report.downloads).map(link));
}

export function mountCheckpoints(host) {
  const columns = [(row) => number(row.size, 0), (row) => dateTime(row.at), (row) => ({ text: row.root.slice(0, 12), cls: "mono", title: row.root })];
  const table = new LiveTable(host, columns, { empty: { title: "No checkpoint yet", text: "One is signed every minute in which something happened." } });
  get("audit/checkpoints/?limit=6").then(
    (page) => table.render(page.results.map((row) => [String(row.size), row])),
    (error) => table.say("Checkpoints could not be read", error.words || String(error), "error"),
  );
}
