"""The next step of a run, decided from what was seen: pure, so that every case can be tested without a desk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

CHECKS: Final = ("limits_active", "device_present", "model_ready", "venue_reachable", "worker_alive")
"""Validation, in order: cheap and permanent reasons first."""
DEADLINES: Final[dict[str, timedelta]] = {
    "validating": timedelta(minutes=10),
    "starting": timedelta(seconds=60),
    "running": timedelta(minutes=3),
    "stopping": timedelta(seconds=30),
}
"""How long a run may stay in a state before it counts as failed (a first model may still be training)."""
MARK_FRESH: Final = timedelta(seconds=20)
"""The loop values its books every few seconds; older than this, it does not trade."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """Outcome of one check: ``passed``, ``waiting`` (may pass later) or ``failed`` (never will)."""

    outcome: str
    detail: str
    evidence: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of a run in the loop. ``mark_at`` is the newest valuation of its venue."""

    now: datetime
    changed_at: datetime
    observed: bool = False
    stopped_at: datetime | None = None
    stop_reason: str = ""
    mark_at: datetime | None = None
    worker_alive: bool = True
    was_healthy: bool = False


@dataclass(frozen=True, kw_only=True)
class Move:
    """Go to ``state`` because of ``detail``; ``state`` empty: stay, and look again."""

    state: str = ""
    detail: str = ""


STAY: Final = Move()


def after_check(result: CheckResult, *, last: bool, seen: Seen) -> Move:
    """Where a validating run goes after one check."""
    if result.outcome == "failed":
        return Move(state="failed", detail=result.detail)
    if result.outcome == "waiting":
        late = seen.now - seen.changed_at >= DEADLINES["validating"]
        return Move(state="failed", detail=f"validation took too long: {result.detail}") if late else STAY
    return Move(state="starting", detail="validation passed") if last else STAY


def next_move(state: str, seen: Seen) -> Move:
    """Where a run in ``starting``, ``running``, ``healthy`` or ``stopping`` goes."""
    late = state in DEADLINES and seen.now - seen.changed_at >= DEADLINES[state]
    live = seen.observed and seen.stopped_at is None
    marked = seen.mark_at is not None and seen.now - seen.mark_at <= MARK_FRESH
    if state == "starting":
        return _of_starting(live=live, late=late)
    if state == "running":
        return _of_running(seen, live=live, marked=marked, late=late)
    if state == "healthy":
        return STAY if live and marked else Move(state="running", detail=_why_not_healthy(seen, live=live))
    if state == "stopping":
        return _of_stopping(seen, live=live, late=late)
    return STAY


def _of_starting(*, live: bool, late: bool) -> Move:
    if live:
        return Move(state="running", detail="the execution worker took it up")
    return Move(state="failed", detail="the execution worker did not take it up in time") if late else STAY


def _of_running(seen: Seen, *, live: bool, marked: bool, late: bool) -> Move:
    if live and marked:
        return Move(state="healthy", detail="taken up by the loop, and books valued seconds ago")
    if late and not seen.was_healthy:
        return Move(state="failed", detail=_why_not_healthy(seen, live=live))
    # A run that was healthy before is wanted still: a worker that comes back takes it up again.
    return STAY


def _of_stopping(seen: Seen, *, live: bool, late: bool) -> Move:
    if not live:
        return Move(state="stopped", detail=seen.stop_reason or "the loop does not run it")
    if not late:
        return STAY
    if not seen.worker_alive:
        return Move(state="stopped", detail="the execution worker is not running, so nothing runs it")
    return Move(state="failed", detail="the execution worker did not confirm the stop in time")


def _why_not_healthy(seen: Seen, *, live: bool) -> str:
    if seen.stopped_at is not None:
        return f"the loop stopped it: {seen.stop_reason}"
    if not live:
        return "the execution worker did not take it up"
    if seen.mark_at is None:
        return "the loop has not valued its books yet"
    return f"the loop last valued its books at {seen.mark_at.isoformat(timespec='seconds')}"
