"""Tasks of the queue ``backtest``: one run, or one trial of a search, per message."""

from __future__ import annotations

from apps.core.context import service_context
from controlplane.celery import app
from workers.live.backtests import work


@app.task(name="gekko.backtest.run", ignore_result=True)  # type: ignore[untyped-decorator]  # celery has no types
def run_backtest(run_id: str) -> str:
    """Do what the record asks for; a message that comes twice finds it taken."""
    return work(service_context("backtest"), run_id)
