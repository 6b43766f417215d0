"""Reading parent orders: for the worker that polls, the API, and the topic's snapshot."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import Case, IntegerField, QuerySet, Value, When

from apps.core.errors import NotFound
from apps.trading.domain.parents import LIVE
from apps.trading.models import ParentOrder
from apps.trading.rows_parents import parent_row

SNAPSHOT_ROWS: Final = 100


def desired_parents(venue: str) -> list[dict[str, Any]]:
    """What people want of parents that are not over: id, who, the request, and why it is to end ("" while not)."""
    wanted = ParentOrder.objects.filter(venue_id=venue, status__in=LIVE).exclude(request={}).order_by("requested_at")
    return [
        {
            "parent_id": parent.parent_id,
            "by": parent.by,
            "request": parent.request,
            "cancelled": f"{parent.cancel_reason} ({parent.cancel_by})" if parent.cancel_reason else "",
        }
        for parent in wanted
    ] + [
        {"parent_id": parent.parent_id, "by": parent.by, "request": {}, "cancelled": parent.cancel_reason}
        for parent in ParentOrder.objects.filter(venue_id=venue, status__in=LIVE, request={}).exclude(cancel_reason="")
    ]


def parents(venue: str | None = None) -> QuerySet[ParentOrder]:
    """Parent orders, newest first."""
    found = ParentOrder.objects.all() if venue is None else ParentOrder.objects.filter(venue_id=venue)
    return found.order_by("-requested_at", "-parent_id")


def get_parent(parent_id: str) -> ParentOrder:
    """One parent order; NotFound."""
    parent = ParentOrder.objects.filter(parent_id=parent_id).first()
    if parent is None:
        raise NotFound(f"there is no parent order {parent_id!r}")
    return parent


def snapshot(venue: str) -> list[tuple[str, dict[str, Any]]]:
    """(key, row) pairs that a client of ``parents`` starts from: those that are not over, then the newest."""
    live = Case(When(status__in=LIVE, then=Value(0)), default=Value(1), output_field=IntegerField())
    found = parents(venue).annotate(over=live).order_by("over", "-requested_at", "-parent_id")
    return [(parent.parent_id, parent_row(parent)) for parent in found[:SNAPSHOT_ROWS]]
