"""Reading balances that differ from the venue's, and decisions to adopt the venue's."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet

from apps.core.money import plain
from apps.trading.domain.adoptions import BalanceBreak, balance_breaks
from apps.trading.models import Balance, ReconciliationRun
from apps.trading.models.adoptions import AdoptionState, BalanceAdoption
from apps.trading.rows import stamp
from apps.trading.selectors import get_venue

ATOMS: Final = 10**8


def current_breaks(venue: str) -> list[BalanceBreak]:
    """Balances that differ by the newest comparison with each execution venue, and that our books still hold so."""
    known = dict(Balance.objects.filter(venue=get_venue(venue)).values_list("asset", "total"))
    compared = ReconciliationRun.objects.filter(venue_id=venue, compared=True)
    newest = compared.order_by("at_venue", "-at", "-id").distinct("at_venue")
    found = (one for run in newest for one in balance_breaks(run.breaks))
    return [one for one in found if known.get(one.asset, 0) == one.ours]


def break_rows(venue: str) -> list[dict[str, Any]]:
    """What may be adopted, for the one who is about to sign it."""
    return [break_row(one) for one in current_breaks(venue)]


def break_row(one: BalanceBreak) -> dict[str, Any]:
    """``difference`` is what the venue has more than we do."""
    return {
        "asset": one.asset,
        "ours": plain(one.ours),
        "theirs": plain(one.theirs),
        "difference": plain(one.theirs - one.ours),
        "digest": one.digest,
    }


def adoptions(venue: str | None = None) -> QuerySet[BalanceAdoption]:
    """Decisions, newest first."""
    found = BalanceAdoption.objects.all() if venue is None else BalanceAdoption.objects.filter(venue_id=venue)
    return found.order_by("-requested_at", "-id")


def desired_adoptions(venue: str, *, now: datetime) -> list[dict[str, Any]]:
    """What the worker is to adopt when it finds exactly this: {id, asset, ours, theirs, until}, in atoms and ns."""
    approved = BalanceAdoption.objects.filter(venue_id=venue, state=AdoptionState.APPROVED, expires_at__gt=now)
    return [
        {
            "id": str(row.pk),
            "asset": row.asset,
            "ours": int(row.ours * ATOMS),
            "theirs": int(row.theirs * ATOMS),
            "until": int(row.expires_at.timestamp() * 1e9),
        }
        for row in approved.order_by("asset")
    ]


def adoption_row(row: BalanceAdoption) -> dict[str, Any]:
    """One decision."""
    return {
        "id": str(row.pk),
        "venue": row.venue_id,
        **break_row(BalanceBreak(row.asset, row.ours, row.theirs)),
        "state": row.state,
        "reason": row.reason,
        "requested_by": row.requested_by_name,
        "requested_at": stamp(row.requested_at),
        "expires_at": stamp(row.expires_at),
        "approved_by": row.approved_by_name,
        "approved_at": stamp(row.approved_at),
        "done_at": stamp(row.done_at),
        "version": row.version,
    }
