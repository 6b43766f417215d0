"""The router against brute force on small books, and what must hold of any decision."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workers.engine.execution.routing.inputs import (
    PPB,
    DarkVenue,
    LitVenue,
    RouteInputs,
    RouteRequest,
    latency_penalty,
    reject_penalty,
)
from workers.engine.execution.routing.router import RouteDecision, RouteKind, decide, remainder, replays
from workers.engine.execution.routing.walk import offers, smallest_order, unit_cost
from workers.engine.vocabulary import Side


@st.composite
def lit_venues(draw: st.DrawFn, side: Side, number: int, *, plain: bool = False) -> LitVenue:
    first = draw(st.integers(90, 110))
    steps = draw(st.lists(st.integers(1, 4), max_size=2))
    ticks, price = [first], first
    for step in steps:
        price += int(side) * step
        ticks.append(price)
    levels = tuple((tick, draw(st.integers(1, 4))) for tick in ticks)
    return LitVenue(
        venue=f"v{number}",
        symbol=f"BTC-{number}",
        levels=levels,
        value_factor=draw(st.sampled_from((1, 2))),
        lot_atoms=10,
        min_lots=1 if plain else draw(st.integers(1, 3)),
        max_lots=100 if plain else draw(st.integers(1, 8)),
        min_notional=0 if plain else draw(st.sampled_from((0, 2500, 4000))),
        fee_ppb=draw(st.sampled_from((-1_000_000, 0, 2_000_000, 40_000_000))),
        latency_ppb=draw(st.sampled_from((0, 500_000))),
        reject_ppb=draw(st.sampled_from((0, 700_000))),
        available=-1 if plain else draw(st.sampled_from((-1, 0, 40, 5_000))),
        through=0 if plain else draw(st.sampled_from((0, 0, 2))),
        own_price=0 if plain else draw(st.sampled_from((0, 0, first, first + int(side) * 3))),
    )


@st.composite
def inputs(draw: st.DrawFn, *, plain: bool = False) -> RouteInputs:
    side = draw(st.sampled_from(tuple(Side)))
    lit = tuple(draw(lit_venues(side, number, plain=plain)) for number in range(draw(st.integers(1, 3))))
    limit = 0 if plain else draw(st.sampled_from((0, 100, 210)))
    return RouteInputs(request=RouteRequest(side=side, atoms=draw(st.integers(1, 9)) * 10, limit=limit), lit=lit)


def brute_force(made: RouteInputs) -> tuple[int, int]:
    """(atoms placed, cost) of the best of all splits, each venue filled from its best price on."""
    shelves = [offers(made.request, number, venue) for number, venue in enumerate(made.lit)]
    choices = []
    for venue, shelf in zip(made.lit, shelves, strict=True):
        total = sum(offer.lots for offer in shelf)
        choices.append([lots for lots in range(total + 1) if lots == 0 or lots >= smallest_order(venue, shelf)])
    best = (0, 0)
    for split in product(*choices):
        placed = sum(lots * venue.lot_atoms for lots, venue in zip(split, made.lit, strict=True))
        if placed > made.request.atoms:
            continue
        cost = 0
        for lots, venue, shelf in zip(split, made.lit, shelves, strict=True):
            left = lots
            for offer in shelf:
                part = min(left, offer.lots)
                cost += part * venue.lot_atoms * offer.unit
                left -= part
        best = min(best, (-placed, cost))
    return -best[0], best[1]


@settings(max_examples=500)
@given(inputs())
def test_no_split_is_better(made: RouteInputs) -> None:
    found = decide(made)
    assert (made.request.atoms - found.unrouted, found.cost) == brute_force(made)


@settings(max_examples=200)
@given(inputs())
def test_every_leg_is_one_that_its_venue_takes(made: RouteInputs) -> None:
    found = decide(made)
    venues = {venue.venue: venue for venue in made.lit}
    side, routed = made.request.side, 0
    for leg in found.legs:
        venue = venues[leg.venue]
        routed += leg.lots * venue.lot_atoms
        assert venue.min_lots <= leg.lots <= venue.max_lots
        assert leg.lots * venue.lot_atoms * leg.price * venue.value_factor >= venue.min_notional
        reach = [lots for ticks, lots in venue.levels if (ticks - leg.price) * int(side) <= 0]
        assert leg.lots <= sum(reach)
        if made.request.limit:
            assert int(side) * leg.price * venue.value_factor <= int(side) * made.request.limit
        if venue.own_price:
            assert (venue.own_price - leg.price) * int(side) > 0
        if venue.available >= 0:
            spent = leg.lots * venue.lot_atoms
            if side is Side.BUY:
                spent = sum(
                    lots * venue.lot_atoms * ticks * venue.value_factor
                    for ticks, lots in _filled(venue.levels, leg.lots)
                )
            assert spent <= venue.available
    assert routed + found.unrouted == made.request.atoms
    assert len({leg.venue for leg in found.legs}) == len(found.legs)


def _filled(levels: tuple[tuple[int, int], ...], lots: int) -> list[tuple[int, int]]:
    filled = []
    for ticks, shown in levels:
        filled.append((ticks, min(shown, lots)))
        lots -= filled[-1][1]
    return filled


@settings(max_examples=100)
@given(inputs())
def test_a_stored_decision_can_be_made_again(made: RouteInputs) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(decide(made)), type=RouteDecision)
    assert stored == decide(made)
    assert replays(stored)
    assert not replays(msgspec.structs.replace(stored, cost=stored.cost + 1))


@given(inputs(plain=True))
def test_the_order_of_the_venues_changes_no_cost(made: RouteInputs) -> None:
    turned = msgspec.structs.replace(made, lit=tuple(reversed(made.lit)))
    assert (decide(turned).cost, decide(turned).unrouted) == (decide(made).cost, decide(made).unrouted)


def dark(**changes: object) -> DarkVenue:
    plain: dict[str, object] = {
        "venue": "dark",
        "symbol": "BTC-D",
        "value_factor": 1,
        "lot_atoms": 10,
        "min_lots": 2,
        "max_lots": 50,
        "fee_ppb": 0,
        "fill_probability": 0.6,
        "min_fraction": 0.5,
        "delay_ppb": 0,
    }
    return DarkVenue(**{**plain, **changes})  # type: ignore[arg-type]  # a table of fields


def lit(number: int = 0, **changes: object) -> LitVenue:
    plain: dict[str, object] = {
        "venue": f"v{number}",
        "symbol": f"BTC-{number}",
        "levels": ((100, 50), (101, 50)),
        "value_factor": 1,
        "lot_atoms": 10,
        "min_lots": 1,
        "max_lots": 1000,
        "min_notional": 0,
        "fee_ppb": 10_000_000,
    }
    return LitVenue(**{**plain, **changes})  # type: ignore[arg-type]  # a table of fields


BUY_200 = RouteRequest(side=Side.BUY, atoms=200)


def test_a_dark_venue_is_asked_first_where_that_is_expected_to_save() -> None:
    found = decide(RouteInputs(request=BUY_200, lit=(lit(),), dark=(dark(),)))
    assert found.kind is RouteKind.PING
    [leg] = found.legs
    assert (leg.venue, leg.lots, leg.min_lots, leg.price) == ("dark", 20, 10, 100)
    assert replays(found)


@pytest.mark.parametrize(
    "venue", [dark(delay_ppb=20_000_000), dark(fee_ppb=10_000_000), dark(fill_probability=0.0), dark(min_lots=21)]
)
def test_a_dark_venue_is_left_alone_where_waiting_costs_more(venue: DarkVenue) -> None:
    assert decide(RouteInputs(request=BUY_200, lit=(lit(),), dark=(venue,))).kind is RouteKind.SWEEP


def test_what_a_leg_left_is_routed_again_without_that_venue() -> None:
    made = RouteInputs(request=BUY_200, lit=(lit(), lit(1, fee_ppb=11_000_000)), dark=(dark(),))
    after = remainder(made, filled=150, without="dark")
    assert after is not None
    found = decide(after)
    assert (found.kind, [leg.venue for leg in found.legs], found.unrouted) == (RouteKind.SWEEP, ["v0"], 0)
    again = remainder(after, filled=20, without="v0")
    assert again is not None
    assert [leg.lots for leg in decide(again).legs] == [3]
    assert remainder(again, filled=30, without="v1") is None


def test_a_smallest_order_takes_from_a_better_price_what_it_needs() -> None:
    made = RouteInputs(
        request=RouteRequest(side=Side.BUY, atoms=60),
        lit=(lit(levels=((100, 5),)), lit(1, levels=((101, 4),), min_lots=3)),
    )
    found = decide(made)
    assert [(leg.venue, leg.lots) for leg in found.legs] == [("v0", 3), ("v1", 3)]
    assert (60, found.cost) == brute_force(made)


def test_latency_and_rejections_can_turn_a_better_price_down() -> None:
    near = lit(0, levels=((101, 50),), fee_ppb=0)
    far = lit(1, levels=((100, 50),), fee_ppb=0, latency_ppb=latency_penalty(0.02, 10**9))
    assert [leg.venue for leg in decide(RouteInputs(request=BUY_200, lit=(near, far))).legs] == ["v0"]
    assert reject_penalty(0.5, 0.02, 10**9) == latency_penalty(0.02, 10**9) // 2
    assert unit_cost(Side.BUY, far, 100) > unit_cost(Side.BUY, near, 101) > 100 * PPB


@pytest.mark.parametrize("wrong", [(float("nan"), 1), (-0.1, 1), (0.1, -1)])
def test_a_volatility_that_is_no_number_is_refused(wrong: tuple[float, int]) -> None:
    with pytest.raises(ValueError, match="expected finite, non-negative"):
        latency_penalty(*wrong)


def test_nothing_to_route_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a positive quantity to route, was 0 atoms"):
        decide(RouteInputs(request=RouteRequest(side=Side.BUY, atoms=0), lit=(lit(),)))


@given(st.integers(1, 60), st.integers(0, 60))
def test_a_remainder_is_what_is_left(atoms: int, filled: int) -> None:
    assume(atoms > filled)
    made = RouteInputs(request=RouteRequest(side=Side.SELL, atoms=atoms), lit=(lit(),))
    left = remainder(made, filled=filled, without="")
    assert left is not None
    assert left.request.atoms == atoms - filled
