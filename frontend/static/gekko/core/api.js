// All writing goes through here: CSRF token, idempotency key, expected version, and refusals as readable errors.

import { banner } from "./banners.js";
import { sentence } from "./text.js";

const BASE = "/api/v1/";
/** Where 401 means a wrong password or code, not an ended session. */
const SIGNING_IN = new Set(["auth/sign-in/", "auth/second-factor/", "auth/recovery/", "auth/totp/", "auth/totp/confirm/"]);

/** Fetching after this long without a touch is the page's own doing, and does not keep a session alive. */
const ALONE_MS = 60000;
let touched = performance.now();
for (const kind of ["pointerdown", "keydown", "wheel", "touchstart"])
  addEventListener(kind, () => (touched = performance.now()), { capture: true, passive: true });

/** What the server said no with: `code`, `detail`, `status`, `fields`, `requestId`. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered ${status}`);
    this.status = status;
    this.code = problem.code || "error";
    this.fields = problem.fields || {};
    this.requestId = problem.request_id || "";
  }

  get words() {
    const said = sentence(this.message);
    return this.status >= 500 && this.requestId ? `${said} Request ${this.requestId}.` : said;
  }
}

function cookie(name) {
  const found = document.cookie.split("; ").find((part) => part.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

/** A key for one intention: the same as long as `asked` is, so an answer that was lost can be asked for again.
 *  A form that stays after an answer says `done()`: pressing it again then asks anew. */
export function keyOf() {
  let key = "", last = null;
  const keyed = (asked) => {
    const now = JSON.stringify(asked);
    if (now !== last) [key, last] = [crypto.randomUUID(), now];
    return key;
  };
  keyed.done = () => (last = null);
  return keyed;
}

async function call(method, path, { body, key, version, again = false } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") {
    headers["X-CSRFToken"] = cookie("csrftoken") || cookie("__Host-csrftoken");
    headers["Content-Type"] = "application/json";
    headers["Idempotency-Key"] = key || crypto.randomUUID();
  }
  if (method === "GET" && performance.now() - touched > ALONE_MS) headers["X-Background"] = "1";
  if (version !== undefined) headers["If-Match"] = `"${version}"`;
  let response;
  try {
    const target = path.startsWith("/") || path.startsWith("http") ? path : BASE + path;
    response = await fetch(target, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, { code: "unreachable", detail: "The server cannot be reached. Check the connection and repeat." });
  }
  const text = await response.text();
  let data = null;
  try {
    data = text ? JSON.parse(text) : null;
  } catch {
    data = null;
  }
  if (!response.ok) {
    // Asked with the key that a change of password has just replaced: the session may go on under another.
    if (response.status === 401 && method === "GET" && !again) return call(method, path, { again: true });
    if (response.status === 401 && !SIGNING_IN.has(path)) banner("session");
    throw new Refused(response.status, data || {});
  }
  return data;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}, options = {}) => call("POST", path, { ...options, body });
export const replace = (path, body, options = {}) => call("PUT", path, { ...options, body });
export const remove = (path) => call("DELETE", path);
