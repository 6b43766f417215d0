"""Scheduled work of incidents."""

from __future__ import annotations

from typing import Final

from celery import shared_task

from apps.core.context import service_context
from apps.incidents import services

STARTED: Final = service_context("incidents").now()


@shared_task(name="gekko.incidents.sweep", ignore_result=True)  # type: ignore[untyped-decorator]  # celery has no types
def sweep() -> int:
    """Turn signals and missing heartbeats into incidents, and close what is over."""
    return services.sweep(service_context("incidents"), watching_since=STARTED)
