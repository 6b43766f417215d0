// One socket per tab. It comes back by itself with growing, jittered pauses and asks for what was missed.

const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 15_000;
const SILENCE_MS = 25_000; // the server speaks at least every 15 s
const SIGN_IN = 4401;
const REFUSED = 4403;

export class LiveSocket {
  /** `handlers`: message(envelope), state(name), since(topic) -> last sequence or null, topics() -> names wanted,
   *  signedIn() -> a promise of whether the session goes on. */
  constructor(handlers) {
    this.handlers = handlers;
    this.state = "connecting";
    this.tries = 0;
    this.skew = 0;
    this.heardAt = 0;
    this.refused = new Set();
    this.asked = "";
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/ws/live/`);
    this.socket.addEventListener("open", () => this.opened());
    this.socket.addEventListener("message", (event) => this.heard(event));
    this.socket.addEventListener("close", (event) => this.closed(event.code));
    this.watch ||= setInterval(() => this.checkSilence(), 5000);
  }

  get connected() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  opened() {
    this.heardAt = Date.now();
    for (const topic of this.handlers.topics()) this.subscribe(topic);
  }

  subscribe(topic, since = this.handlers.since(topic)) {
    if (!this.connected || this.refused.has(topic)) return;
    this.asked = topic;
    this.socket.send(JSON.stringify({ action: "subscribe", topic, ...(since === null ? {} : { since }) }));
  }

  unsubscribe(topic) {
    if (this.connected) this.socket.send(JSON.stringify({ action: "unsubscribe", topic }));
  }

  heard(event) {
    this.heardAt = Date.now();
    const message = JSON.parse(event.data);
    if (message.ts) this.skew = this.skewBy(message);
    if (this.state !== "live") {
      this.tries = 0;
      this.say("live");
    }
    if (message.kind === "error" && message.topic) this.refused.add(message.topic);
    this.handlers.message(message);
  }

  /** How far the server's clock is ahead of this one; heartbeats carry its time. */
  skewBy(message) {
    return message.kind === "hb" ? new Date(message.ts).getTime() - this.heardAt : this.skew;
  }

  closed(code) {
    if (code === SIGN_IN) this.refusedSession();
    else this.comeAgain(code);
  }

  /** The session is over, unless it goes on under another key, as after a change of password. */
  async refusedSession() {
    const signedIn = this.state === "live" && (await this.handlers.signedIn());
    if (signedIn) this.comeAgain(SIGN_IN);
    else this.say("signed-out");
  }

  comeAgain(code) {
    this.say(code === REFUSED ? "refused" : "reconnecting");
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.tries) * (0.5 + Math.random());
    this.tries += 1;
    setTimeout(() => this.open(), pause);
  }

  checkSilence() {
    if (this.connected && Date.now() - this.heardAt > SILENCE_MS) this.socket.close();
  }

  say(state) {
    this.state = state;
    this.handlers.state(state);
  }
}
