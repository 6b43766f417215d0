"""Periodic work of core."""

from __future__ import annotations

from dataclasses import asdict

from celery import shared_task

from apps.core import services
from apps.core.context import service_context


@shared_task(name="gekko.core.sweep")  # type: ignore[untyped-decorator]  # celery ships no types
def sweep() -> dict[str, int]:
    """Remove old outbox, inbox and idempotency rows."""
    return asdict(services.sweep(service_context("core")))
