"""The smart order router: a pure function from stored inputs to legs.

The lit split is optimal: costs are linear within a level, so the cheapest offers first is best (greedy), and where a
venue's smallest order bends that line, every set of venues is tried with its minima forced in. Two plans are compared
by how much they place, then by effective cost, then by the fewest orders. With venues of different lots the split is
best up to one coarse lot, since what a coarse lot cannot take goes to a finer one.

A dark venue is pinged first, alone, when what it is expected to save outweighs what waiting for its answer is expected
to cost. What the ping leaves is routed again, on the books of that moment and without that venue.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from itertools import combinations
from typing import NamedTuple

import msgspec

from workers.engine.execution.routing.inputs import PPB, DarkVenue, RouteInputs, RouteRequest
from workers.engine.execution.routing.walk import Offer, limit_ticks, offers, smallest_order
from workers.engine.vocabulary import Side


class RouteKind(StrEnum):
    PING = "PING"
    SWEEP = "SWEEP"
    NOTHING = "NOTHING"


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One immediate-or-cancel order. ``price`` is its limit in the venue's ticks; ``min_lots`` is 0 for any part."""

    venue: str
    symbol: str
    lots: int
    price: int
    min_lots: int = 0


class RouteDecision(msgspec.Struct, frozen=True, kw_only=True):
    """``cost`` is the expected effective cost in money units x ``PPB``, negative for a sale; a ping's is not known.

    ``unrouted`` atoms found no place within limit, funds and the venues' smallest orders.
    """

    inputs: RouteInputs
    kind: RouteKind
    legs: tuple[Leg, ...]
    unrouted: int
    cost: int
    reason: str


class _Plan(NamedTuple):
    placed: int
    cost: int
    lots: dict[int, list[Offer]]
    """What is taken from each venue."""


def decide(inputs: RouteInputs) -> RouteDecision:
    """Route the request; ValueError for a quantity that is not positive. The same inputs give the same decision."""
    request = inputs.request
    if request.atoms <= 0:
        raise ValueError(f"expected a positive quantity to route, was {request.atoms} atoms")
    plan = _best_plan(inputs)
    ping = _best_ping(inputs, plan)
    if ping is not None:
        return ping
    legs = tuple(_leg(inputs, number, taken) for number, taken in sorted(plan.lots.items()))
    return RouteDecision(
        inputs=inputs,
        kind=RouteKind.SWEEP if legs else RouteKind.NOTHING,
        legs=legs,
        unrouted=request.atoms - plan.placed,
        cost=plan.cost,
        reason="" if plan.placed == request.atoms else "no more within limit, funds and smallest orders",
    )


def replays(decision: RouteDecision) -> bool:
    """True when the stored inputs give the stored decision again."""
    return decide(decision.inputs) == decision


def remainder(inputs: RouteInputs, *, filled: int, without: str) -> RouteInputs | None:
    """Inputs for what a leg left, without the venue that refused or did not fill it; None when nothing is left.

    The caller replaces the books by those of the moment before deciding again.
    """
    left = inputs.request.atoms - filled
    if left <= 0:
        return None
    return RouteInputs(
        request=msgspec.structs.replace(inputs.request, atoms=left),
        lit=tuple(venue for venue in inputs.lit if venue.venue != without),
        dark=tuple(venue for venue in inputs.dark if venue.venue != without),
    )


# -- the lit split


def _best_plan(inputs: RouteInputs) -> _Plan:
    shelves = [offers(inputs.request, number, venue) for number, venue in enumerate(inputs.lit)]
    minima = [smallest_order(venue, shelf) for venue, shelf in zip(inputs.lit, shelves, strict=True)]
    plan = _greedy(inputs, shelves, {})
    if not _too_small(plan, minima):
        return plan
    # Forcing the smallest order of a venue in, or leaving the venue out, are the only ways past it.
    best = _Plan(0, 0, {})
    for chosen in _subsets([number for number, shelf in enumerate(shelves) if shelf]):
        shown = [shelf if number in chosen else [] for number, shelf in enumerate(shelves)]
        plan = _greedy(inputs, shown, {number: minima[number] for number in chosen})
        if not _too_small(plan, minima) and _rank(plan) < _rank(best):
            best = plan
    return best


def _rank(plan: _Plan) -> tuple[int, int, int]:
    return -plan.placed, plan.cost, len(plan.lots)


def _subsets(numbers: list[int]) -> Iterator[tuple[int, ...]]:
    for size in range(1, len(numbers) + 1):
        yield from combinations(numbers, size)


def _greedy(inputs: RouteInputs, shelves: list[list[Offer]], forced: dict[int, int]) -> _Plan:
    """Cheapest first, after the ``forced`` lots of each venue."""
    left, cost = inputs.request.atoms, 0
    taken: dict[int, list[Offer]] = {}
    rest: list[Offer] = []
    for number, shelf in enumerate(shelves):
        need = forced.get(number, 0)
        for offer in shelf:
            part = min(need, offer.lots)
            if part:
                need -= part
                left -= part * inputs.lit[number].lot_atoms
                cost += part * inputs.lit[number].lot_atoms * offer.unit
                taken.setdefault(number, []).append(offer._replace(lots=part))
            if part < offer.lots:
                rest.append(offer._replace(lots=offer.lots - part))
    if left < 0:
        return _Plan(0, 0, {})
    for offer in sorted(rest):
        atoms = inputs.lit[offer.venue].lot_atoms
        part = min(offer.lots, left // atoms)
        if part:
            left -= part * atoms
            cost += part * atoms * offer.unit
            taken.setdefault(offer.venue, []).append(offer._replace(lots=part))
    return _Plan(inputs.request.atoms - left, cost, taken)


def _too_small(plan: _Plan, minima: list[int]) -> bool:
    return any(sum(offer.lots for offer in taken) < minima[number] for number, taken in plan.lots.items())


def _leg(inputs: RouteInputs, number: int, taken: list[Offer]) -> Leg:
    venue = inputs.lit[number]
    worst = max if inputs.request.side is Side.BUY else min
    return Leg(
        venue=venue.venue,
        symbol=venue.symbol,
        lots=sum(offer.lots for offer in taken),
        price=limit_ticks(inputs.request, venue, worst(offer.ticks for offer in taken)),
    )


# -- the dark ping


def _best_ping(inputs: RouteInputs, plan: _Plan) -> RouteDecision | None:
    """The ping with the largest expected saving, if any saves at all against sweeping the lit books now."""
    if not plan.placed:
        return None
    best: tuple[float, DarkVenue, Leg] | None = None
    for venue in inputs.dark:
        leg = _ping(inputs, venue)
        saving = _saving(inputs.request, venue, leg, plan) if leg is not None else 0.0
        if leg is not None and saving > (best[0] if best else 0.0):
            best = (saving, venue, leg)
    if best is None:
        return None
    saving, venue, leg = best
    return RouteDecision(
        inputs=inputs,
        kind=RouteKind.PING,
        legs=(leg,),
        unrouted=inputs.request.atoms - leg.lots * venue.lot_atoms,
        cost=0,
        reason=f"expected to save {saving / plan.placed / PPB:.1f} money units an atom",
    )


def _middle(inputs: RouteInputs, venue: DarkVenue) -> int:
    """Limit of a ping in the dark venue's ticks: the best lit price, as the venue itself crosses at the middle."""
    side = inputs.request.side
    prices = [level[0] * lit.value_factor for lit in inputs.lit for level in lit.levels[:1]]
    if inputs.request.limit:
        prices.append(inputs.request.limit)
    if not prices:
        return 0
    return min(prices) // venue.value_factor if side is Side.BUY else -(-max(prices) // venue.value_factor)


def _ping(inputs: RouteInputs, venue: DarkVenue) -> Leg | None:
    lots = min(inputs.request.atoms // venue.lot_atoms, venue.max_lots)
    price = _middle(inputs, venue)
    if price <= 0:
        return None
    if venue.available >= 0:
        need = venue.lot_atoms
        if inputs.request.side is Side.BUY:
            need = -(-venue.value_factor * venue.lot_atoms * price * (PPB + max(venue.fee_ppb, 0)) // PPB)
        lots = min(lots, venue.available // need)
    if lots < max(venue.min_lots, 1):
        return None
    least = max(venue.min_lots, int(lots * venue.min_fraction))
    return Leg(venue=venue.venue, symbol=venue.symbol, lots=lots, price=price, min_lots=least)


def _saving(request: RouteRequest, venue: DarkVenue, leg: Leg, plan: _Plan) -> float:
    """Expected saving in money units x ``PPB``: what fills there instead of here, less what waiting costs."""
    atoms = min(leg.lots * venue.lot_atoms, plan.placed)
    lit_unit = plan.cost / plan.placed
    price = venue.middle or leg.price * venue.value_factor
    dark_unit = int(request.side) * price * (PPB + int(request.side) * venue.fee_ppb)
    waiting = abs(plan.cost) * venue.delay_ppb / PPB
    return venue.fill_probability * max(venue.min_fraction, 0.5) * atoms * (lit_unit - dark_unit) - waiting
