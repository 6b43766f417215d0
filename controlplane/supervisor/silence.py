"""Which processes live but say nothing any more: the supervisor ends those, so that they start again.

An incident of a silent process is opened by the control worker. Nobody would tell of the control worker's own silence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SILENT_AFTER_S: Final = 20.0
STEADY_AFTER_S: Final = 30.0
"""So long a process must have shown itself before its silence counts: starting may hold it up."""
OWN_PAUSE_S: Final = 5.0
"""Whoever was not looking for so long cannot tell silence from sleep."""

SUPERVISOR: Final = "supervisor"


@dataclass
class _Sight:
    """What was seen of one process; both times are the supervisor's own monotonic seconds."""

    pid: int
    told: float
    first_at: float
    changed_at: float


class Silence:
    """Judges the heartbeats that are read once a second. Only a change counts, not the clock of who wrote it."""

    def __init__(self) -> None:
        self._seen: dict[str, _Sight] = {}
        self._looked_at: float | None = None

    def judge(
        self, now: float, alive: Mapping[str, int], beats: Mapping[str, tuple[int, float]] | None
    ) -> dict[str, float]:
        """The silent processes among those ``alive`` (name to pid) and for how many seconds.

        ``beats`` gives pid and time of each heartbeat; None when Valkey did not answer, and then nobody is silent.
        """
        paused = self._looked_at is not None and now - self._looked_at > OWN_PAUSE_S
        self._looked_at = now
        if beats is not None:
            self._see(now, alive, beats)
        # Our own heartbeat is written just before: without it Valkey has forgotten everybody's.
        if beats is None or paused or SUPERVISOR not in beats:
            self._start_anew(now)
            return {}
        return {
            name: now - sight.changed_at
            for name, sight in self._seen.items()
            if sight.changed_at - sight.first_at > STEADY_AFTER_S and now - sight.changed_at > SILENT_AFTER_S
        }

    def _see(self, now: float, alive: Mapping[str, int], beats: Mapping[str, tuple[int, float]]) -> None:
        for name, (pid, told) in beats.items():
            sight = self._seen.get(name)
            if alive.get(name) != pid:
                continue
            if sight is None or sight.pid != pid:
                self._seen[name] = _Sight(pid, told, now, now)
            elif sight.told != told:
                sight.told, sight.changed_at = told, now
        for name, sight in list(self._seen.items()):
            took_itself_away = name not in beats and SUPERVISOR in beats
            if alive.get(name) != sight.pid or took_itself_away:
                del self._seen[name]

    def _start_anew(self, now: float) -> None:
        for sight in self._seen.values():
            sight.changed_at = now


def parse(raw: Mapping[bytes, bytes]) -> dict[str, tuple[int, float]]:
    """The hash of heartbeats as pid and time by name, without what is none."""
    found = {}
    for name, value in raw.items():
        try:
            beat: dict[str, Any] = json.loads(value)
            found[name.decode()] = (int(beat["pid"]), float(beat["ts"]))
        except (ValueError, KeyError, TypeError):
            continue
    return found
