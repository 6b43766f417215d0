"""Reading incidents."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from apps.accounts.permissions import Capability, require
from apps.core.context import Context
from apps.incidents.choices import State
from apps.incidents.models import Incident
from apps.incidents.rows import incident_row


def may_view(ctx: Context, what: str) -> None:
    """Return when the caller may read incidents; PermissionRefused, which is recorded, otherwise."""
    require(ctx, Capability.INCIDENT_VIEW, object_type=what, object_id="")


def incidents(*, open_only: bool = False) -> QuerySet[Incident]:
    """Incidents with their timelines, newest first."""
    found = Incident.objects.prefetch_related("timeline").order_by("-number")
    return found.exclude(state=State.RESOLVED) if open_only else found


def snapshot() -> list[tuple[str, dict[str, Any]]]:
    """(key, row) pairs that a client of topic ``incidents`` starts from: every open one, and the newest 100 in all."""
    rows = {incident.pk: incident for incident in incidents()[:100]}
    rows.update({incident.pk: incident for incident in incidents(open_only=True)})
    return [(str(pk), incident_row(incident)) for pk, incident in rows.items()]
