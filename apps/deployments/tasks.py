"""Scheduled work of deployments."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from apps.core.context import service_context
from apps.deployments import selectors, services


@shared_task(name="gekko.deployments.advance", ignore_result=True)  # type: ignore[untyped-decorator]  # celery has no types
def advance(run_id: str, ticket: str | None = None) -> None:
    """Take one step of a run; without a ticket, with the run's present one."""
    wanted = UUID(ticket) if ticket else selectors.get_run(UUID(run_id)).ticket
    services.advance(service_context("deployments"), run_id=UUID(run_id), ticket=wanted)


@shared_task(name="gekko.deployments.audit_overdue", ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def audit_overdue() -> None:
    """Find runs whose next step got lost, and look after those that are healthy."""
    services.audit_overdue(service_context("deployments"))
