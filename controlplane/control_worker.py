"""The control worker's own parts: its heartbeat and its metrics port."""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from django.conf import settings

from controlplane.celery import app
from controlplane.observability import Heartbeat, serve


class ControlVitals(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no type information
    """Shows that the control worker lives, from its start to its stop."""

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.heartbeat = Heartbeat("control")

    def start(self, _parent: Any) -> None:
        if settings.GEKKO_METRICS_PORT:
            serve(settings.GEKKO_METRICS_PORT)
        self.heartbeat.start()

    def stop(self, _parent: Any) -> None:
        self.heartbeat.stop()


app.steps["worker"].add(ControlVitals)
