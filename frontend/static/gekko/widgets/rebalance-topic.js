// Runs, executions and standing policies of the live topic `rebalances`, put together for the panels of its page.

import { listen, put, topicState } from "../core/store.js";

const TOPIC = "rebalances";
const SHOWN = 25;
/** Ages and countdowns move on by themselves. */
const TICK_MS = 5000;

/** {runs, schedule}: the newest runs, each with its execution or null, and the policy that stands; null before known. */
export function book() {
  const topic = topicState(TOPIC);
  if (!topic.known) return null;
  const rows = [...topic.rows.values()];
  const executions = new Map(rows.filter((row) => row.object === "execution").map((row) => [row.run, row]));
  const runs = rows.filter((row) => row.object === "run").sort((a, b) => (a.requested_at < b.requested_at ? 1 : -1));
  const schedule = rows.find((row) => row.object === "schedule" && row.active) || null;
  return { runs: runs.slice(0, SHOWN).map((run) => ({ ...run, execution: executions.get(run.id) || null })), schedule };
}

/** Hear of the book whenever something of it changed, and every few seconds; returns the way to stop. */
export function follow(listener) {
  const tell = () => {
    const { error } = topicState(TOPIC);
    if (error) listener(null, "Your role does not let you look at trading.");
    else if (book()) listener(book(), "");
  };
  const end = listen(TOPIC, tell);
  const timer = setInterval(() => document.hidden || tell(), TICK_MS);
  return () => {
    clearInterval(timer);
    end();
  };
}

/** Keep what an answer says of a run, so that the screen need not wait for its event. */
export function keepRun({ execution, ...run }) {
  put(TOPIC, run.id, { ...run, object: "run" });
  if (execution) put(TOPIC, `execution:${execution.id}`, { ...execution, object: "execution", run: run.id });
}

export const keepSchedule = (row) => put(TOPIC, `schedule:${row.id}`, { ...row, object: "schedule" });
