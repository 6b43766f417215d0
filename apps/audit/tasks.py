"""Periodic work on the audit trail."""

from __future__ import annotations

from celery import shared_task

from apps.audit.services.checkpoints import publish_checkpoint, publish_if_sensitive
from apps.audit.services.verification import verify as verify_trail
from apps.core.context import service_context


@shared_task(name="gekko.audit.checkpoint")  # type: ignore[untyped-decorator]  # celery ships no types
def checkpoint() -> int:
    """Sign the present root; the size that was signed."""
    made = publish_checkpoint(service_context("audit"))
    return made.size if made else 0


@shared_task(name="gekko.audit.checkpoint_soon", ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def checkpoint_soon() -> int:
    """Sign the present root if something sensitive waits for it; the size that was signed."""
    made = publish_if_sensitive(service_context("audit"))
    return made.size if made else 0


@shared_task(name="gekko.audit.verify")  # type: ignore[untyped-decorator]  # celery ships no types
def verify() -> bool:
    """Verify the whole trail; whether it is intact."""
    return verify_trail(service_context("audit")).ok
