"""Searching the trail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.audit.models import AuditEntry, AuditReport, Checkpoint, VerificationRun
from apps.core.access import require
from apps.core.context import Context
from apps.core.errors import Invalid

FILTERS: Final = ("actor", "event", "object_type", "object_id", "outcome", "request_id")


def clean_filters(filters: Mapping[str, Any]) -> dict[str, str]:
    """The known filters as text, empty ones left out; Invalid for a name that is none or a malformed id."""
    unknown = sorted(set(filters) - set(FILTERS))
    if unknown:
        raise Invalid(f"no filter {unknown[0]!r}; expected some of {', '.join(FILTERS)}", field=unknown[0])
    found = {name: str(filters[name]).strip() for name in FILTERS if str(filters.get(name) or "").strip()}
    if "request_id" in found:
        try:
            found["request_id"] = str(UUID(found["request_id"]))
        except ValueError:
            raise Invalid(f"expected a UUID, was {found['request_id']!r}", field="request_id") from None
    return found


def filtered(
    filters: Mapping[str, str], *, start: datetime | None = None, end: datetime | None = None
) -> QuerySet[AuditEntry]:
    """Entries that fit ``clean_filters``; ``start`` is included, ``end`` is not. ``event`` may end in ``*``."""
    rows = AuditEntry.objects.all()
    if actor := filters.get("actor"):
        rows = rows.filter(Q(actor_id=actor) | Q(actor_name=actor))
    if event := filters.get("event"):
        rows = rows.filter(event__startswith=event[:-1]) if event.endswith("*") else rows.filter(event=event)
    exact = {name: filters[name] for name in FILTERS[2:] if name in filters}
    rows = rows.filter(**exact)
    if start is not None:
        rows = rows.filter(at__gte=start)
    return rows.filter(at__lt=end) if end is not None else rows


def entries(
    ctx: Context, filters: Mapping[str, Any], *, start: datetime | None = None, end: datetime | None = None
) -> QuerySet[AuditEntry]:
    """Search, newest first. Needs ``audit.view``."""
    require(ctx, "audit.view", object_type="audit", object_id="entries")
    return filtered(clean_filters(filters), start=start, end=end).order_by("-seq")


def checkpoints(ctx: Context) -> QuerySet[Checkpoint]:
    require(ctx, "audit.view", object_type="audit", object_id="checkpoints")
    return Checkpoint.objects.order_by("-size")


def verification_runs(ctx: Context) -> QuerySet[VerificationRun]:
    require(ctx, "audit.view", object_type="audit", object_id="verifications")
    return VerificationRun.objects.order_by("-started_at", "-id")


def reports(ctx: Context) -> QuerySet[AuditReport]:
    require(ctx, "audit.export", object_type="audit", object_id="reports")
    return AuditReport.objects.select_related("checkpoint").order_by("-created_at", "-id")
