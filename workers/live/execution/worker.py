"""The execution worker: a Celery worker on the queue ``execution`` that hosts the trading loop beside its consumer.

Start: ``celery -A controlplane worker -Q execution --pool threads -c 2 -I workers.live.execution.worker``. Importing
this module attaches the loop to the worker and brings its tasks. No market event passes through Celery.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import bootsteps
from django.conf import settings
from django.db import connections

from controlplane.celery import app
from controlplane.observability import serve
from workers.adapters.journal import JournalError
from workers.live.execution.exchange_dialects import VenueSetupError
from workers.live.execution.process import process
from workers.tasks import execution

__all__ = ["ExecutionWorker", "execution"]

log = structlog.get_logger(__name__)


class ExecutionWorker(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no type information
    """Starts and stops the trading loop with the worker."""

    def start(self, _parent: Any) -> None:
        try:
            process().start()
        except (JournalError, VenueSetupError) as error:
            log.exception("cannot trade", reason=str(error))
            raise SystemExit(f"execution worker: {error}") from error
        if settings.GEKKO_METRICS_PORT:
            serve(settings.GEKKO_METRICS_PORT, process().host.ready)

    def stop(self, _parent: Any) -> None:
        process().stop()
        connections.close_all()


app.steps["worker"].add(ExecutionWorker)
