"""Follows the execution journal and turns it into records, exactly once.

The cursor in PostgreSQL moves in the transaction of the rows that it stands for, so a crash at any point, of this
process or of the database, neither loses a record nor counts one twice. It holds no state of its own.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from apps.core.context import service_context
from apps.core.errors import DomainError
from apps.trading.selectors import journal_cursor
from apps.trading.services.projection import project
from workers.adapters.journal import JournalCorrupt, Position, Tail

WORKER: Final = "execution"
BATCH: Final = 500
IDLE_S: Final = 0.1
FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 15.0

log = structlog.get_logger(__name__)


class ProjectionRefused(Exception):
    """The records do not continue what was projected, or break a rule of the tables."""


class Projector:
    """Follows one worker's journal until ``stop`` is called."""

    def __init__(self, worker: str = WORKER) -> None:
        self.worker = worker
        self.problem = ""
        self.position = Position()
        self._stop = threading.Event()
        self._tail: Tail | None = None
        self._failures = 0

    def stop(self) -> None:
        """Let ``run`` return after the batch at hand."""
        self._stop.set()

    def detail(self) -> dict[str, Any]:
        """For the heartbeat."""
        return {"seq": self.position.seq, "problem": self.problem}

    def run(self) -> None:
        """Project until stopped; what cannot be done now is tried again, later and later."""
        while not self._stop.is_set():
            try:
                busy = self.step()
            except (DatabaseError, JournalCorrupt, OSError, ProjectionRefused) as error:
                self._tail = None
                self._fail(error)
            else:
                self._failures, self.problem = 0, ""
                if not busy:
                    self._stop.wait(IDLE_S)
        connection.close()

    def step(self) -> int:
        """Project one batch; return how many records it held."""
        close_old_connections()
        tail = self._tail or self._open_tail()
        records = tail.read(BATCH)
        if records:
            try:
                project(service_context("projector"), worker=self.worker, records=records)
            except DomainError as error:
                raise ProjectionRefused(str(error)) from error
        self._tail, self.position = tail, tail.position
        return len(records)

    def _open_tail(self) -> Tail:
        """Stand where the database says that projection stands."""
        cursor = journal_cursor(self.worker)
        return Tail(settings.GEKKO_STATE_DIR / "journal", Position(cursor["seq"], cursor["hash"]))

    def _fail(self, error: Exception) -> None:
        delay = min(FIRST_RETRY_S * 2.0 ** min(self._failures, 10), LONGEST_RETRY_S)
        self._failures += 1
        problem = f"{type(error).__name__}: {error}"
        if problem != self.problem:
            log.error("projection waits", problem=problem, retry_in_s=delay)
        self.problem = problem
        connection.close()
        self._stop.wait(delay)
