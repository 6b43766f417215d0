"""Reading routing decisions: one parent's, decision by decision and in sum, and whether stored ones replay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from apps.trading.domain.routes import Split, Took, decision_of, saving
from apps.trading.models import Fill, Instrument, Order, ParentOrder, ParentRoute
from apps.trading.rows_routes import RouteParts, route_row, summary_row
from apps.trading.selectors_parents import get_parent
from apps.trading.services.books import engine_instrument
from workers.engine.execution.routing.check import difference
from workers.engine.execution.routing.router import RouteKind
from workers.engine.instruments import Instrument as EngineInstrument


def routes(parent_id: str) -> QuerySet[ParentRoute]:
    """Decisions of a parent, newest first; NotFound for no parent."""
    return ParentRoute.objects.filter(parent_id=get_parent(parent_id).parent_id).order_by("-number", "-id")


def route_rows(found: Iterable[ParentRoute]) -> list[dict[str, Any]]:
    """Rows of decisions of one parent, with what became of their legs."""
    listed = list(found)
    if not listed:
        return []
    parent = get_parent(listed[0].parent_id)
    items, legs = _items(parent), _legs(parent.parent_id)
    fills = _took([order for route in listed for order in legs[route.number]], items)
    return [route_row(route, RouteParts(parent.symbol, items, legs[route.number], fills)) for route in listed]


def summary(parent_id: str) -> dict[str, Any]:
    """What routing made of a parent: by venue, pings, and what it saved; NotFound for no parent."""
    parent = get_parent(parent_id)
    items, legs = _items(parent), _legs(parent.parent_id)
    orders = list(Order.objects.filter(parent_id=parent_id))
    took = _took(orders, items)
    split = Split()
    for order in orders:
        split.add(took[order.client_id])
    found = list(ParentRoute.objects.filter(parent_id=parent_id))
    saved = [
        saving(decision_of(route.decision), parent.symbol, [took[order.client_id] for order in legs[route.number]])
        for route in found
    ]
    pings = [order for route in found if route.kind == RouteKind.PING for order in legs[route.number]]
    return summary_row(parent, split, decisions=len(found), pings=pings, saved=saved, items=items)


def check_routes(parent_id: str = "") -> tuple[int, list[str]]:
    """(decisions looked at, what differs) of all stored decisions, or of one parent's, made again."""
    found = ParentRoute.objects.filter(parent_id=parent_id) if parent_id else ParentRoute.objects.all()
    looked, differs = 0, list[str]()
    for route in found.order_by("id").iterator(chunk_size=200):
        looked += 1
        if (said := difference(decision_of(route.decision))) is not None:
            differs.append(f"decision {route.number} of parent {route.parent_id}: {said}")
    return looked, differs


def _items(parent: ParentOrder) -> dict[str, EngineInstrument]:
    return {row.symbol: engine_instrument(row) for row in Instrument.objects.filter(venue_id=parent.venue_id)}


def _legs(parent_id: str) -> dict[int, list[Order]]:
    """Legs by the number of their decision, oldest first; those that the gate denied too."""
    found: dict[int, list[Order]] = defaultdict(list)
    for order in Order.objects.filter(parent_id=parent_id, decision__has_key="route").order_by("id"):
        found[order.decision["route"]].append(order)
    return found


def _took(orders: list[Order], items: dict[str, EngineInstrument]) -> dict[str, Took]:
    """What each order did, by client id; fees in the quote asset, as far as they were taken in base or quote."""
    found = {order.client_id: Took(order.symbol) for order in orders}
    for fill in Fill.objects.filter(client_id__in=list(found)):
        held, item = found[fill.client_id], items[fill.symbol]
        fee = fill.fee if fill.fee_asset == item.quote_key else fill.fee * fill.price
        if fill.fee_asset not in (item.quote_key, item.base_key):
            fee *= 0
        found[fill.client_id] = Took(
            fill.symbol, held.filled + fill.quantity, held.notional + fill.notional, held.fees + fee
        )
    return found
