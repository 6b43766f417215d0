"""Reads once a second, in a thread of its own, what the control plane wants of this venue's loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from apps.core.errors import NotFound
from apps.deployments.selectors import desired_runs
from apps.policies.selectors import active_limits, active_overrides
from apps.trading.selectors import desired_control
from apps.trading.selectors_adoptions import desired_adoptions
from apps.trading.selectors_parents import desired_parents
from apps.trading.selectors_scopes import desired_cancels, desired_scopes
from workers.live.execution.control import Desired

EVERY_S: Final = 1.0

log = structlog.get_logger(__name__)


def read(venue: str) -> Desired:
    """One look at the tables; DatabaseError when they cannot be read."""
    looked = time.monotonic_ns()
    try:
        control = desired_control(venue)
    except NotFound:
        control = None
    now = datetime.now(UTC)
    return Desired(
        looked=looked,
        scopes=desired_scopes(),
        cancels=desired_cancels(venue, now=now),
        overrides=active_overrides(now),
        control=control,
        limits=active_limits(),
        runs=desired_runs(venue),
        parents=desired_parents(venue),
        adoptions=desired_adoptions(venue, now=now),
    )


def look(venue: str) -> Desired | None:
    """One look from a task's thread; None while PostgreSQL is away."""
    try:
        close_old_connections()
        return read(venue)
    except DatabaseError as error:
        log.warning("control plane's tables cannot be read; trusting the message", error=str(error))
        connection.close()
        return None


class DesiredPoll:
    """Hands every look to ``take``, which must not block; silent while PostgreSQL is away, but for one line."""

    def __init__(self, venue: str, take: Callable[[Desired], None]) -> None:
        self._venue = venue
        self._take = take
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="desired-state", daemon=True)
        self._away = False

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                close_old_connections()
                desired = read(self._venue)
            except DatabaseError as error:
                if not self._away:
                    log.warning("control plane's tables cannot be read; trading on what is known", error=str(error))
                self._away = True
                connection.close()
            else:
                self._away = False
                self._take(desired)
            self._stop.wait(EVERY_S)
        connection.close()
