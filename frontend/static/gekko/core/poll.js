// What has no live topic is read again: often while something is under way, seldom otherwise, and not in a hidden tab.

import { get } from "./api.js";

/** Read `paths` {name: path} for all who listen. `busy(found)` says whether to read every `fastMs` or `slowMs`. */
export class Reading {
  constructor(paths, busy, fastMs = 1500, slowMs = 15_000) {
    Object.assign(this, { paths, busy, fastMs, slowMs, listeners: new Set(), timer: 0, found: null, error: "" });
    document.addEventListener("visibilitychange", () => !document.hidden && this.listeners.size && this.read());
  }

  /** Hear of what was read, at once if something is known; returns the way to stop. */
  listen(listener) {
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.read();
    if (this.found || this.error) listener(this.found, this.error);
    return () => {
      this.listeners.delete(listener);
      if (!this.listeners.size) clearTimeout(this.timer);
    };
  }

  async read() {
    clearTimeout(this.timer);
    const mine = (this.asked = Symbol("newest reading"));
    try {
      const names = Object.keys(this.paths);
      const answers = await Promise.all(names.map((name) => get(this.paths[name])));
      if (mine !== this.asked) return;
      this.found = Object.fromEntries(names.map((name, index) => [name, answers[index]]));
      this.error = "";
    } catch (error) {
      if (mine !== this.asked) return;
      this.error = error.words || String(error);
    }
    for (const listener of [...this.listeners]) listener(this.found, this.error);
    if (!this.listeners.size || document.hidden) return;
    this.timer = setTimeout(() => this.read(), this.found && this.busy(this.found) ? this.fastMs : this.slowMs);
  }
}
