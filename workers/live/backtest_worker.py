"""The backtest worker: a Celery worker on the queue ``backtest`` whose runs have processes of their own.

Start: ``celery -A controlplane worker -Q backtest --pool prefork -c 2 -I workers.live.backtest_worker``. Runs compute
for minutes and must keep nobody waiting, least of all each other: that is what the processes are for.
"""

from __future__ import annotations

import os
from typing import Any, Final

from celery import bootsteps
from celery.signals import worker_process_init
from django.conf import settings

from controlplane.celery import app
from controlplane.observability import Heartbeat, serve
from workers.tasks import backtest, portfolio

__all__ = ["BacktestWorker", "backtest", "portfolio"]

NICENESS: Final = 10


class BacktestWorker(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no type information
    """Starts and stops with the worker: heartbeat and metrics."""

    requires = ("celery.worker.components:Pool",)  # processes are forked before there is a thread

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.heartbeat = Heartbeat("backtest")

    def start(self, _parent: Any) -> None:
        self.heartbeat.start()
        if settings.GEKKO_METRICS_PORT:
            serve(settings.GEKKO_METRICS_PORT)

    def stop(self, _parent: Any) -> None:
        self.heartbeat.stop()


app.steps["worker"].add(BacktestWorker)


@worker_process_init.connect  # type: ignore[untyped-decorator]  # celery has no types
def stand_back(**_: Any) -> None:
    """A run takes what the processor has left: the trading loop on the same machine comes first."""
    os.nice(NICENESS)
