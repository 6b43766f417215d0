"""Tasks that compute rebalance runs, on the queue ``backtest``, and that look after them, on ``control``."""

from __future__ import annotations

from celery import shared_task

from apps.core.context import service_context
from apps.trading.services.executions import look_after_executions
from apps.trading.services.rebalance_schedules import follow_schedules
from apps.trading.services.rebalances import look_after_rebalances
from workers.live.rebalancing import work


@shared_task(name="gekko.portfolio.rebalance", ignore_result=True)  # type: ignore[untyped-decorator]  # celery has no types
def rebalance(run_id: str) -> str:
    """Compute one run; a message that comes twice finds it taken."""
    return work(service_context("portfolio"), run_id)


@shared_task(name="gekko.portfolio.look_after", ignore_result=True)  # type: ignore[untyped-decorator]  # celery has no types
def look_after() -> int:
    """See that every run ends, bring approved rebalances forward, ask for what schedules make due."""
    ctx = service_context("portfolio")
    return look_after_rebalances(ctx) + look_after_executions(ctx) + follow_schedules(ctx)
