"""What closing positions would send, for the one who is about to sign it."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from django.db.models import Count

from apps.core.money import plain
from apps.policies import selectors as policies
from apps.trading.domain import flatten
from apps.trading.domain.flatten import Closing, Holding
from apps.trading.domain.parents import LIVE
from apps.trading.models import Instrument, Order, ParentOrder, Position
from apps.trading.selectors import desired_control, get_venue, orders
from apps.trading.selectors_halts import halts_of
from apps.trading.services.books import engine_instrument
from workers.engine.vocabulary import OPEN_STATUSES, TradingState


def closings(venue: str, symbols: Collection[str] | None = None) -> list[Closing]:
    """How every position of ``venue``, or those in ``symbols``, would be closed now."""
    items = {row.symbol: engine_instrument(row) for row in Instrument.objects.filter(venue_id=venue)}
    held = [
        Holding(items[row.symbol], row.quantity, row.mark)
        for row in Position.objects.filter(venue_id=venue).order_by("symbol")
        if row.symbol in items and (symbols is None or row.symbol in symbols)
    ]
    active = policies.active_limits()
    halts = halts_of(venue, [one.instrument.symbol for one in held])
    return flatten.plan(held, active["limits"] if active else {}, under_way(venue), resting(venue), halts)


def resting(venue: str) -> dict[tuple[str, str], int]:
    """How many orders of no parent there are at the venue, by symbol and side."""
    there = Order.objects.filter(venue_id=venue, status__in=OPEN_STATUSES, parent_id="")
    found = there.order_by().values_list("symbol", "side")
    return {(symbol, side): count for symbol, side, count in found.annotate(count=Count("pk"))}


def under_way(venue: str) -> dict[tuple[str, str], Decimal]:
    """What is left of the orders that only reduce, by symbol and side, in the base asset."""
    found: dict[tuple[str, str], Decimal] = {}
    for parent in ParentOrder.objects.filter(venue_id=venue, status__in=LIVE, reduce_only=True):
        left = max(Decimal(0), parent.quantity - parent.filled_quantity)
        key = parent.symbol, parent.side
        found[key] = found.get(key, Decimal(0)) + left
    return found


def preview(venue: str, symbols: Collection[str] | None = None) -> dict[str, Any]:
    """What would be sent, position by position, with estimates at the mark; ``digest`` names what can be sent."""
    place = get_venue(venue)
    found = closings(venue, symbols)
    possible = [closing.signed for closing in found if not closing.problem]
    halted = desired_control(venue)["state"] == TradingState.HALTED
    return {
        "venue": place.name,
        "halted": halted,
        "open_orders": orders(venue, open_only=True).count(),
        "patience_s": flatten.PATIENCE_S,
        "digest": flatten.digest(possible),
        "positions": [closing_row(closing) for closing in found],
    }


def closing_row(closing: Closing) -> dict[str, Any]:
    """One position and what closes it."""
    amounts = {"mark": closing.mark, "value": closing.value, "fee": closing.fee}
    return {
        **closing.signed,
        "base": closing.instrument.base,
        "quote": closing.instrument.quote,
        "remainder": plain(closing.remainder),
        **{name: None if value is None else plain(value) for name, value in amounts.items()},
        "orders": closing.orders,
        "displaced": closing.displaced,
        "problem": closing.problem,
    }
