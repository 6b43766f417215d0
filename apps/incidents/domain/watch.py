"""What heartbeats say about processes: who is lost, who came back, who was restarted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

LOST_AFTER: Final = timedelta(seconds=5)
FORGOTTEN_AFTER: Final = timedelta(minutes=2)
"""A heartbeat this old is left from an earlier start of the desk and says nothing about this one."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to do about one process."""

    lost: tuple[str, ...] = ()
    alive: tuple[str, ...] = ()
    restarted: tuple[tuple[str, int], ...] = ()
    """(process, restarts since the supervisor started)."""


def judge(*, beats: dict[str, datetime], restarts: dict[str, int], known: dict[str, int], now: datetime) -> Verdict:
    """Compare the newest heartbeats and the supervisor's restart counts with those that were ``known`` before.

    A count below the known one means that the supervisor itself started anew.
    """
    ages = {name: now - at for name, at in beats.items()}
    return Verdict(
        lost=tuple(sorted(name for name, age in ages.items() if LOST_AFTER < age <= FORGOTTEN_AFTER)),
        alive=tuple(sorted(name for name, age in ages.items() if age <= LOST_AFTER)),
        restarted=tuple(
            (name, count) for name, count in sorted(restarts.items()) if count > (known.get(name, 0)) and count > 0
        ),
    )
