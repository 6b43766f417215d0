"""Scheduled work of the fleet."""

from __future__ import annotations

from celery import shared_task

from apps.core.context import service_context
from apps.fleet import services


@shared_task(name="gekko.fleet.probe", ignore_result=True)  # type: ignore[untyped-decorator]  # celery has no types
def probe() -> None:
    """Mark machines whose lease ran out."""
    services.expire_leases(service_context("scheduler"))
