"""What happened beside the trades, for the charts: halts, deployments and incidents that the reader may see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.conf import settings

from apps.accounts.permissions import Capability, capabilities
from apps.core.context import Context
from apps.deployments import selectors as deployments
from apps.incidents import selectors as incidents
from apps.trading import selectors

MOST: Final = 60


@dataclass(frozen=True)
class Moment:
    """Something at a time; ``until`` where it lasted. ``kind`` is halt, deployment or incident."""

    kind: str
    at: datetime
    text: str
    until: datetime | None = None


def moments(ctx: Context, start: datetime) -> list[Moment]:
    """Since ``start``, oldest first; the newest sixty of each kind."""
    held = capabilities(ctx)
    found = _halts(start)
    if Capability.DEPLOY_VIEW in held:
        found += _deployments(start)
    if Capability.INCIDENT_VIEW in held:
        found += _incidents(start)
    return sorted(found, key=lambda moment: moment.at)


def _halts(start: datetime) -> list[Moment]:
    rows = selectors.halts(settings.GEKKO_VENUE_NAME).filter(halted_at__gte=start)[:MOST]
    return [
        Moment("halt", row.halted_at, f"Trading halted by {row.halted_by}: {row.reason}", row.resumed_at)
        for row in rows
    ]


def _deployments(start: datetime) -> list[Moment]:
    found = []
    for run in deployments.runs(settings.GEKKO_VENUE_NAME).filter(created_at__gte=start)[:MOST]:
        name = f"Run {run.number} ({run.plan.get('strategy', '')})"
        if run.started_at is not None:
            found.append(Moment("deployment", run.started_at, f"{name} started"))
        if run.ended_at is not None:
            found.append(Moment("deployment", run.ended_at, f"{name} ended: {run.stop_reason or run.detail}"))
    return found


def _incidents(start: datetime) -> list[Moment]:
    # A halt is an incident too; it is marked once.
    rows = incidents.incidents().filter(opened_at__gte=start).exclude(kind="trading_halted")[:MOST]
    return [Moment("incident", row.opened_at, f"Incident {row.number}: {row.title}", row.resolved_at) for row in rows]
