"""Scheduled work of trading records."""

from __future__ import annotations

from celery import shared_task

from apps.core.context import service_context
from apps.trading.services import retention
from apps.trading.services.adoptions import look_after_adoptions
from apps.trading.services.backtests import resend_overdue


@shared_task(name="gekko.trading.resend_backtests", ignore_result=True)  # type: ignore[untyped-decorator]  # celery has no types
def resend_backtests() -> int:
    """Find backtests that no worker took, or whose worker is lost."""
    return resend_overdue(service_context("trading"))


@shared_task(name="gekko.trading.prune", ignore_result=True)  # type: ignore[untyped-decorator]  # celery has no types
def prune() -> dict[str, int]:
    """Remove a part of what need not be kept any more."""
    return retention.prune(service_context("trading"))


@shared_task(name="gekko.trading.look_after_adoptions", ignore_result=True)  # type: ignore[untyped-decorator]  # celery has no types
def look_after_balances() -> int:
    """Close decisions to adopt a balance that were carried out or ran out."""
    return look_after_adoptions(service_context("trading"))
