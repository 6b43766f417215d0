"""The watch over the watch: was the control worker itself away, and can heartbeats be read at all?

It needs neither Valkey nor a queue, so that it also sees what keeps the sweep from running.
"""

from __future__ import annotations

from typing import Final

from apps.core import heartbeats
from apps.core.context import Context
from apps.core.errors import Unavailable
from apps.incidents.choices import Kind, Severity
from apps.incidents.domain import watch
from apps.incidents.services.lifecycle import clear, open_incident

CONTROL: Final = "worker_lost:control"
VALKEY: Final = "worker_lost:valkey"
BLIND_LOOKS: Final = 3
"""So many looks in a row must fail: a restart of Valkey is over sooner, and has an incident of its own."""


class Lookout:
    """Looks each two seconds; remembers when it last looked and how often it could not see."""

    def __init__(self) -> None:
        self._looked_at: float | None = None
        self._blind = 0
        self._told = False
        self._cleared = False

    def look(self, ctx: Context, now: float) -> None:
        """Open and clear incidents about control and Valkey; ``now`` is monotonic seconds at the call.

        Raises what the database raises.
        """
        away = 0.0 if self._looked_at is None else now - self._looked_at
        if away > watch.LOST_AFTER.total_seconds():
            self._was_away(ctx, away)
        self._see_valkey(ctx)

    def rest(self, now: float) -> None:
        """Only the time between looks counts: a slow database makes a look long, which is no absence."""
        self._looked_at = now

    def _was_away(self, ctx: Context, seconds: float) -> None:
        open_incident(
            ctx,
            kind=Kind.WORKER_LOST,
            fingerprint=CONTROL,
            severity=Severity.WARNING,
            title="Process control is lost",
            detail=f"control stood still for {seconds:.0f} s; nobody looked for incidents meanwhile.",
            source="process:control",
            evidence={"process": "control", "seconds": round(seconds)},
        )

    def _see_valkey(self, ctx: Context) -> None:
        try:
            heartbeats.read()
        except Unavailable as error:
            self._blind += 1
            if self._blind >= BLIND_LOOKS and not self._told:
                self._blinded(ctx, error)
                self._told = True
            return
        self._blind = 0
        # The first look that sees clears too: an earlier process may have left the incident open.
        if self._told or not self._cleared:
            clear(ctx, VALKEY)
            self._told, self._cleared = False, True

    def _blinded(self, ctx: Context, error: Unavailable) -> None:
        open_incident(
            ctx,
            kind=Kind.WORKER_LOST,
            fingerprint=VALKEY,
            severity=Severity.CRITICAL,
            title="Process valkey is lost",
            detail=f"Valkey cannot be read, so no process can be watched and nothing is shown live: {error.detail}",
            source="process:valkey",
            evidence={"process": "valkey"},
        )
