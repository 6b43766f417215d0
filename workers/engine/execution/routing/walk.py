"""The consolidated book of one request: what each venue offers, at its effective price, within all its bounds."""

from __future__ import annotations

from typing import NamedTuple

from workers.engine.execution.routing.inputs import PPB, LitVenue, RouteRequest
from workers.engine.vocabulary import Side


class Offer(NamedTuple):
    """``lots`` at ``ticks`` on venue number ``venue``; ``unit`` is the signed effective cost of an atom x ``PPB``.

    A buy pays, so its cost is positive; a sale earns, so its cost is negative. Smaller is better for both.
    """

    unit: int
    venue: int
    ticks: int
    lots: int


def unit_cost(side: Side, venue: LitVenue, ticks: int) -> int:
    """Effective cost of one atom, in money units x ``PPB``: price, fee or rebate, latency and reject risk."""
    penalty = venue.fee_ppb + venue.latency_ppb + venue.reject_ppb
    return int(side) * venue.value_factor * ticks * (PPB + int(side) * penalty)


def offers(request: RouteRequest, number: int, venue: LitVenue) -> list[Offer]:
    """Best first: levels within the limit, in front of our own resting order, that the venue's account can pay for."""
    found: list[Offer] = []
    side, taken = request.side, 0
    for ticks, shown in venue.levels:
        if not _allowed(request, venue, ticks):
            break
        lots = min(shown, venue.max_lots - taken)
        if venue.available >= 0:
            # The order reserves its limit for every lot: all must be payable at the worst price that it may reach.
            price = venue.lot_atoms
            if side is Side.BUY:
                worst = venue.value_factor * (ticks + venue.through)
                price = -(-worst * venue.lot_atoms * (PPB + max(venue.fee_ppb, 0)) // PPB)
            lots = min(lots, venue.available // price - taken)
        if lots <= 0:
            break
        taken += lots
        found.append(Offer(unit_cost(side, venue, ticks), number, ticks, lots))
        if lots < shown:
            break
    return found


def smallest_order(venue: LitVenue, shelf: list[Offer]) -> int:
    """Lots below which the venue refuses an order, its notional judged at the lowest price that it might reach."""
    if not shelf:
        return venue.min_lots
    lowest = min(offer.ticks for offer in shelf) * venue.value_factor * venue.lot_atoms
    return max(venue.min_lots, -(-venue.min_notional // lowest))


def limit_ticks(request: RouteRequest, venue: LitVenue, worst: int) -> int:
    """Limit of an order that takes the level at ``worst``, within the request's limit and our own resting price."""
    if request.side is Side.BUY:
        price = worst + venue.through
        if request.limit:
            price = min(price, request.limit // venue.value_factor)
        return min(price, venue.own_price - 1) if venue.own_price else price
    price = max(worst - venue.through, -(-request.limit // venue.value_factor), 1)
    return max(price, venue.own_price + 1)


def _allowed(request: RouteRequest, venue: LitVenue, ticks: int) -> bool:
    price = ticks * venue.value_factor
    if request.side is Side.BUY:
        return (not request.limit or price <= request.limit) and (not venue.own_price or ticks < venue.own_price)
    return price >= request.limit and ticks > venue.own_price
