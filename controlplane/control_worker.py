"""The control worker's own parts: its heartbeat, its metrics port, and the watch over itself and Valkey."""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog
from celery import bootsteps
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections

from controlplane.celery import app
from controlplane.observability import Heartbeat, serve

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 2.0


class Watchman:
    """Keeps a lookout from a thread of its own: a queue that stands still must not blind it."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="lookout", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        # Models can be imported only now.
        from apps.core.context import service_context  # noqa: PLC0415
        from apps.core.errors import DomainError  # noqa: PLC0415
        from apps.incidents.services import Lookout  # noqa: PLC0415

        lookout = Lookout()
        while not self._stop.wait(LOOK_EVERY_S):
            close_old_connections()
            try:
                lookout.look(service_context("incidents"), time.monotonic())
            except (DatabaseError, DomainError) as error:
                log.warning("lookout not kept", error=str(error))
            lookout.rest(time.monotonic())
        connections.close_all()


class ControlVitals(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no type information
    """Shows that the control worker lives, from its start to its stop."""

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.heartbeat = Heartbeat("control")
        self.watchman = Watchman()

    def start(self, _parent: Any) -> None:
        if settings.GEKKO_METRICS_PORT:
            serve(settings.GEKKO_METRICS_PORT)
        self.heartbeat.start()
        self.watchman.start()

    def stop(self, _parent: Any) -> None:
        self.watchman.stop()
        self.heartbeat.stop()


app.steps["worker"].add(ControlVitals)
