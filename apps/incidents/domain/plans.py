"""What may be done to an incident, decided on values read under lock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from apps.core.errors import IllegalTransition, StaleVersion

HOLD: Final = timedelta(seconds=120)
"""How long a source must stay clear before its incident resolves by itself."""
SELF_RESOLVING: Final = frozenset({"feed_stale", "venue_unreachable", "worker_lost", "trading_halted"})
"""The others tell of something that a person must have seen: they wait for one, even when the source has cleared."""
QUIET: Final = timedelta(minutes=5)
"""A sighting that has no end of its own (an order limit, a restart) counts as cleared after so long without another."""
TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "triggered": frozenset({"acknowledged", "resolved"}),
    "acknowledged": frozenset({"resolved"}),
    "resolved": frozenset(),
}


def check_version(*, expected: int, actual: int, state: str, by: str, at: datetime | None) -> None:
    """StaleVersion, saying who was faster, unless the caller saw the incident as it is."""
    if expected == actual:
        return
    who = f"; {by} has {state} it" if by else ""
    raise StaleVersion(
        f"you saw version {expected}, the incident is at version {actual} by now{who}",
        expected=expected,
        actual=actual,
        state=state,
        by=by,
        at=at.isoformat() if at else None,
    )


def check_transition(state: str, following: str) -> None:
    """IllegalTransition unless an incident that is ``state`` may become ``following``."""
    if following not in TRANSITIONS[state]:
        raise IllegalTransition(f"the incident is {state}, it cannot become {following}", state=state)


def resolves_by_itself(*, kind: str, cleared_at: datetime | None, now: datetime) -> bool:
    """Whether an open incident is over without anybody's help."""
    return kind in SELF_RESOLVING and cleared_at is not None and now - cleared_at >= HOLD
