"""What heartbeats say about processes: who is lost, who came back, who was restarted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

LOST_AFTER: Final = timedelta(seconds=5)
FORGOTTEN_AFTER: Final = timedelta(minutes=2)
"""Without a supervisor that knows the process, a heartbeat this old is taken for one that was stopped on purpose."""
START_GRACE: Final = timedelta(seconds=45)


@dataclass(frozen=True, kw_only=True)
class Beat:
    """The newest sign of life of a process, and under which process id it was given."""

    at: datetime
    pid: int


@dataclass(frozen=True, kw_only=True)
class Supervised:
    """What the supervisor says of a process."""

    pid: int | None
    alive: bool
    restarts: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to do about processes."""

    lost: tuple[str, ...] = ()
    alive: tuple[str, ...] = ()
    restarted: tuple[tuple[str, int], ...] = ()
    """(process, restarts since the supervisor started)."""


def judge(
    *,
    beats: dict[str, Beat],
    supervised: dict[str, Supervised],
    known: dict[str, int],
    now: datetime,
    since: datetime | None = None,
) -> Verdict:
    """Compare the newest heartbeats with what the supervisor says, and its restart counts with those ``known`` before.

    A count below the known one means that the supervisor itself started anew. A heartbeat from before ``since``, when
    the watch began, is left from an earlier start of the desk for as long as the others may need to start.
    """
    starting = since is not None and now - since <= START_GRACE
    current = {name: beat for name, beat in beats.items() if not (starting and since and beat.at < since)}
    return Verdict(
        lost=tuple(sorted(name for name, beat in current.items() if _lost(beat, supervised.get(name), now))),
        alive=tuple(sorted(name for name, beat in beats.items() if now - beat.at <= LOST_AFTER)),
        restarted=tuple(
            (name, process.restarts)
            for name, process in sorted(supervised.items())
            if process.restarts > known.get(name, 0)
        ),
    )


def _lost(beat: Beat, process: Supervised | None, now: datetime) -> bool:
    """Silent for too long. A live process under another id has only just started and will show itself."""
    silent = now - beat.at
    if silent <= LOST_AFTER:
        return False
    if process is None:
        return silent <= FORGOTTEN_AFTER
    return not process.alive or process.pid == beat.pid
