"""Reading halts by scope: for workers that poll, for the API, for topic snapshots."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet

from apps.policies.selectors import desk_names
from apps.trading.models import CancelOrder, Instrument, RunObservation, ScopeControl, ScopeHalt, Venue
from apps.trading.rows_scopes import scope_key, scope_row
from workers.engine.risk.scopes import Scope, ScopeKind

CANCEL_LOOK_BACK: Final = timedelta(minutes=5)
"""An order to cancel that no worker took for so long was for orders that are gone."""


def desired_scopes() -> list[dict[str, Any]]:
    """Every scope that was ever halted, as a worker takes it: {scope, halted, reason, by, version}."""
    names = ("scope", "halted", "reason", "by", "version")
    return list(ScopeControl.objects.order_by("scope").values(*names))


def desired_cancels(venue: str, *, now: datetime) -> list[dict[str, Any]]:
    """Orders of the last minutes to cancel a part, oldest first: {number, selection, reason, by, at}."""
    recent = CancelOrder.objects.filter(venue_id=venue, at__gte=now - CANCEL_LOOK_BACK).order_by("id")
    return [
        {"number": row.pk, "selection": row.selection, "reason": row.reason, "by": row.by, "at": row.at}
        for row in recent
    ]


def scopes() -> QuerySet[ScopeControl]:
    return ScopeControl.objects.all()


def known_scopes() -> list[str]:
    """Every scope that a halt can name: the firm, desks, strategies that ran, venues, instruments.

    The catalogue of strategies is not asked: a broken file in it must not keep anybody from halting.
    """
    names = {
        ScopeKind.DESK: desk_names(),
        ScopeKind.STRATEGY: ran_strategies(),
        ScopeKind.VENUE: venue_names(),
        ScopeKind.INSTRUMENT: instrument_symbols(),
    }
    return [str(ScopeKind.FIRM), *(str(Scope(kind, name)) for kind, known in names.items() for name in known)]


def ran_strategies() -> list[str]:
    return sorted(set(RunObservation.objects.order_by().values_list("strategy", flat=True).distinct()))


def venue_names() -> list[str]:
    return sorted(Venue.objects.values_list("name", flat=True))


def instrument_symbols() -> list[str]:
    return sorted(set(Instrument.objects.values_list("symbol", flat=True)))


def scope_halts() -> QuerySet[ScopeHalt]:
    """Halts of scopes, newest first."""
    return ScopeHalt.objects.order_by("-halted_at", "-id")


def scope_rows() -> list[tuple[str, dict[str, Any]]]:
    """(key, row) pairs of topic ``halts``."""
    return [(scope_key(control.scope), scope_row(control)) for control in scopes()]
