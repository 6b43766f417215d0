// What is known of each live topic, and who wants to hear of it. Listeners are told at most four times a second,
// in an animation frame, and not at all while the tab is hidden.

import { get } from "./api.js";
import { banner, clearBanner } from "./banners.js";
import { LiveSocket } from "./socket.js";

const CONFLATED = new Set(["pnl", "positions", "feed", "latency", "risk", "system", "parent_progress"]);
const FLUSH_MS = 250;

class Topic {
  constructor(name) {
    this.name = name;
    this.rows = new Map();
    this.seq = null;
    this.asOf = 0;
    this.known = false;
    this.error = "";
    this.listeners = new Set();
    this.dirty = false;
  }
}

const topics = new Map();
const stateListeners = new Set();
let flushing = 0;

function topicOf(name) {
  if (!topics.has(name)) topics.set(name, new Topic(name));
  return topics.get(name);
}

const socket = new LiveSocket({
  message: receive,
  state: (state) => {
    if (state === "signed-out") banner("session");
    if (state === "live") clearBanner("fault");
    stateListeners.forEach((listener) => listener(state));
  },
  since: (name) => (CONFLATED.has(name) ? null : topicOf(name).seq),
  signedIn: () => get("auth/state/").then(({ state }) => state === "signed_in", () => false),
  topics: () => [...topics.values()].filter((topic) => topic.listeners.size).map((topic) => topic.name),
});

export const start = () => socket.open();
export const serverNow = () => Date.now() + socket.skew;
export const socketState = () => socket.state;
export const onSocket = (listener) => stateListeners.add(listener);

/** Hear of a topic's rows (a Map by key); returns the way to stop. The listener is called at once if rows are known. */
export function listen(name, listener) {
  const topic = topicOf(name);
  topic.listeners.add(listener);
  if (topic.listeners.size === 1) socket.subscribe(name);
  if (topic.known || topic.error) listener(topic.rows, topic);
  return () => {
    topic.listeners.delete(listener);
    if (!topic.listeners.size && CONFLATED.has(name)) socket.unsubscribe(name);
  };
}

/** Age in milliseconds of what is shown of a topic; null when nothing has come yet. */
export function ageOf(name) {
  const topic = topicOf(name);
  if (!topic.known) return null;
  if (CONFLATED.has(name)) return topic.asOf ? Math.max(0, serverNow() - topic.asOf) : null;
  // Events of record come when something happens: they are as fresh as the line is.
  return socket.state === "live" ? 0 : Date.now() - socket.heardAt;
}

export const isConflated = (name) => CONFLATED.has(name);
export const topicState = topicOf;

/** Put a row that a REST answer brought, so that the screen need not wait for its event.
 *  Of the same version the row that is known stays: its event may have come before the answer, and knows more. */
export function put(name, key, row) {
  const topic = topicOf(name);
  if ((topic.rows.get(key)?.version ?? -1) >= row.version) return;
  upsert(topic, key, row);
  mark(topic);
}

function receive(message) {
  if (!message.topic) return;
  const topic = topicOf(message.topic);
  if (message.kind === "error") {
    topic.error = String(message.data);
    mark(topic);
    return;
  }
  if (message.kind === "snapshot") takeSnapshot(topic, message);
  else if (message.kind === "delta") takeDelta(topic, message);
  else if (message.kind === "event") takeEvent(topic, message);
  topic.error = "";
  mark(topic);
}

function takeSnapshot(topic, message) {
  topic.rows = new Map(Object.entries(message.data || {}));
  topic.seq = message.seq;
  topic.known = true;
  if (CONFLATED.has(topic.name)) topic.asOf = newestIn(topic.rows);
}

/** When the values of a snapshot were true, as far as they say; a snapshot may be of values long past. */
function newestIn(rows) {
  const stamps = [...rows.values()].map((row) => row.at_ms || (row.ts ? row.ts * 1000 : 0));
  return Math.max(0, ...stamps);
}

function takeDelta(topic, message) {
  topic.rows.set(message.key, message.data);
  topic.asOf = new Date(message.ts).getTime();
  topic.known = true;
}

function takeEvent(topic, message) {
  if (topic.seq !== null && message.seq > topic.seq + 1) {
    socket.subscribe(topic.name, topic.seq); // something was missed: ask for it, this one comes again
    return;
  }
  topic.seq = Math.max(topic.seq ?? 0, message.seq);
  upsert(topic, message.key, message.data);
}

function upsert(topic, key, row) {
  const known = topic.rows.get(key);
  if (known && (known.version ?? 0) > (row?.version ?? 0)) return;
  topic.rows.set(key, row);
}

function mark(topic) {
  topic.dirty = true;
  if (!flushing) flushing = setTimeout(() => requestAnimationFrame(flush), FLUSH_MS);
}

function flush() {
  flushing = 0;
  if (document.hidden) return;
  for (const topic of topics.values()) {
    if (!topic.dirty) continue;
    topic.dirty = false;
    for (const listener of [...topic.listeners]) listener(topic.rows, topic);
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) flush();
});
