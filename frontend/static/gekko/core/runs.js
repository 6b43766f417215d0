// The runs of the desk, as the deployments topic tells of them.

import { topicState } from "./store.js";

const OVER = new Set(["stopped", "failed"]);

/** Every run, newest first. */
export const allRuns = () => [...topicState("deployments").rows.values()].sort((a, b) => b.number - a.number);

/** The runs that are not over, newest first; each trades instruments of its own. */
export const activeRuns = () => allRuns().filter((run) => !OVER.has(run.state));
