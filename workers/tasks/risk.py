"""Tasks of the queue ``control`` that make risk reports; beat asks for one a minute."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.conf import settings

from apps.core.context import service_context
from workers.live.risk_report import report_venue


@shared_task(name="gekko.risk.report", ignore_result=False)  # type: ignore[untyped-decorator]  # celery has no types
def report() -> dict[str, Any]:
    """Report the desk's risk now."""
    made = report_venue(service_context("risk"), settings.GEKKO_VENUE_NAME)
    if made is None:
        return {"made": False, "detail": "no execution session declared an instrument yet"}
    return {"made": True, "at": made.at.isoformat(), "status": made.status}
