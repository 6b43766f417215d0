"""Routing decisions as public rows: decimals as text, decisions in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from apps.core.money import plain
from apps.trading.domain.positions import per_unit
from apps.trading.domain.routes import CENT, Split, Took, decision_of, expected_price, in_words, place_of, saving
from apps.trading.models import Order, ParentOrder, ParentRoute
from apps.trading.rows import amount, stamp
from workers.engine.execution.routing.inputs import DarkVenue, LitVenue, RouteInputs
from workers.engine.execution.tca import BPS
from workers.engine.instruments import Instrument

PPB_PER_BP: Final = 100_000


@dataclass(frozen=True, slots=True)
class RouteParts:
    """What a row needs beside its decision: the home symbol, instruments, the decision's children and their fills."""

    home: str
    items: Mapping[str, Instrument]
    legs: list[Order]
    took: Mapping[str, Took]


def route_row(route: ParentRoute, parts: RouteParts) -> dict[str, Any]:
    """One decision: what it saw, what it decided, why, what its legs filled, and what it saved."""
    decision = decision_of(route.decision)
    took = [parts.took[order.client_id] for order in parts.legs]
    return {
        "parent_id": route.parent_id,
        "number": route.number,
        "at": stamp(route.at),
        "kind": route.kind,
        "text": in_words(decision, route.left_out, parts.items),
        "reason": decision.reason,
        "quantity": plain(route.quantity),
        "unrouted_quantity": plain(route.unrouted),
        "expected_price": amount(expected_price(decision)),
        "mid": amount(route.mid),
        "saving": _rounded(saving(decision, parts.home, took)),
        "venues": _venues(decision.inputs, parts.items),
        "left_out": [{"symbol": symbol, "why": why} for symbol, why in sorted(route.left_out.items())],
        "legs": [_leg(order, parts) for order in parts.legs],
    }


def _venues(inputs: RouteInputs, items: Mapping[str, Instrument]) -> list[dict[str, Any]]:
    return [_lit(one, items[one.symbol]) for one in inputs.lit] + [_dark(one, items[one.symbol]) for one in inputs.dark]


def _lit(one: LitVenue, item: Instrument) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "venue": place_of(item),
        "dark": False,
        "best_price": plain(item.price(one.levels[0][0])) if one.levels else None,
        "offered_quantity": plain(item.quantity(sum(lots for _, lots in one.levels))),
        "fee_bps": one.fee_ppb / PPB_PER_BP,
        "latency_bps": one.latency_ppb / PPB_PER_BP,
        "reject_bps": one.reject_ppb / PPB_PER_BP,
        "fill_probability": None,
    }


def _dark(one: DarkVenue, item: Instrument) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "venue": place_of(item),
        "dark": True,
        "best_price": None,
        "offered_quantity": None,
        "fee_bps": one.fee_ppb / PPB_PER_BP,
        "latency_bps": one.delay_ppb / PPB_PER_BP,
        "reject_bps": 0.0,
        "fill_probability": round(one.fill_probability, 4),
    }


def _leg(order: Order, parts: RouteParts) -> dict[str, Any]:
    took = parts.took[order.client_id]
    return {
        "client_id": order.client_id,
        "symbol": order.symbol,
        "venue": place_of(parts.items[order.symbol]),
        "quantity": plain(order.quantity),
        "price": amount(order.price),
        "status": order.status,
        "detail": order.detail,
        "filled_quantity": plain(took.filled),
        "average_price": amount(per_unit(took.notional, took.filled)),
        "fees": plain(took.fees),
    }


def summary_row(
    parent: ParentOrder,
    split: Split,
    *,
    decisions: int,
    pings: list[Order],
    saved: list[Decimal | None],
    items: Mapping[str, Instrument],
) -> dict[str, Any]:
    """What routing made of a parent; ``saving_bps`` is against the value that was filled."""
    asked = [order for order in pings if order.ended_at is not None and order.venue_order_id]
    hits = sum(order.filled_quantity > 0 for order in asked)
    known = [one for one in saved if one is not None]
    total = sum(known, Decimal(0)) if known else None
    value = parent.filled_notional
    return {
        "parent_id": parent.parent_id,
        "decisions": decisions,
        "pings": len(asked),
        "ping_hits": hits,
        "ping_hit_rate": round(hits / len(asked), 4) if asked else None,
        "saving": _rounded(total),
        "saving_bps": None if total is None or not value else plain((total / value * BPS).quantize(Decimal("0.0001"))),
        "venues": [_share(took, split, items[took.symbol]) for took in split.venues.values() if took.filled],
    }


def _share(took: Took, split: Split, item: Instrument) -> dict[str, Any]:
    return {
        "symbol": took.symbol,
        "venue": place_of(item),
        "quantity": plain(took.filled),
        "share": round(float(took.filled / split.filled), 4),
        "average_price": amount(per_unit(took.notional, took.filled)),
        "fees": plain(took.fees),
    }


def _rounded(value: Decimal | None) -> str | None:
    return None if value is None else plain(value.quantize(CENT))
