"""The GPU worker: a Celery worker on the queue ``gpu`` that keeps models warm on this machine's best device.

Start: ``celery -A controlplane worker -Q gpu --pool threads -c 2 -I workers.live.gpu_worker``. Importing this module
attaches its parts to the worker and brings its tasks. Two threads: a training must not keep forecasts waiting.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.signals import worker_shutting_down
from django.conf import settings
from django.db import connections

from controlplane.celery import app
from controlplane.observability import Heartbeat, serve
from workers.live.gpu_process import member
from workers.tasks import gpu

__all__ = ["GpuWorker", "gpu"]


class GpuWorker(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no type information
    """Starts and stops with the worker: fleet membership, heartbeat, metrics."""

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.heartbeat = Heartbeat("gpu", self.detail)

    def detail(self) -> dict[str, Any]:
        us = member()
        return {"device": f"{us.device.kind}:{us.device.index}", "models": list(us.host.digests)}

    def start(self, _parent: Any) -> None:
        member().start()
        self.heartbeat.start()
        if settings.GEKKO_METRICS_PORT:
            serve(settings.GEKKO_METRICS_PORT, lambda: member().enrolled)

    def stop(self, _parent: Any) -> None:
        self.heartbeat.stop()
        member().stop()
        connections.close_all()


app.steps["worker"].add(GpuWorker)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]  # celery has no types
def give_up(**_: Any) -> None:
    """A training ends now: the worker would otherwise wait for it until it is killed."""
    member().stopping.set()
