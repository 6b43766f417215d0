"""A dark venue: never worse than the limit, always at the exact middle, all or enough or nothing, and repeatable."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.matching import INSTRUMENT, START, SYMBOL, delta, order, snapshot, top
from workers.engine.events import BookDelta, BookSnapshot, TopOfBook
from workers.engine.execution.matching import MatchingEngine
from workers.engine.execution.matching_hidden import Draw, HiddenLiquidity, Moment
from workers.engine.execution.matching_midpoint import MidpointEngine
from workers.engine.execution.matching_types import Filled, NewOrder, Refusal, Refused, Reports
from workers.engine.instruments import MONEY_PER_ATOM, GridError
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

HALF = msgspec.structs.replace(INSTRUMENT, tick=INSTRUMENT.tick / 2)
SLOT_NS = 1_000
LOTS = st.integers(1, 40)
SIDES = st.sampled_from([Side.BUY, Side.SELL])
LIMITS = st.integers(180, 220)
EVEN = st.integers(92, 108).map(lambda price: 2 * price)
LEVELS = st.lists(st.tuples(EVEN, st.integers(0, 40)), max_size=4, unique_by=lambda level: level[0])
ORDERS = st.builds(
    lambda side, lots, price, least: msgspec.structs.replace(
        order(side, lots, price, tif=TimeInForce.IOC), min_lots=min(least, lots)
    ),
    SIDES,
    st.integers(1, 1500),
    LIMITS,
    st.sampled_from([0, 0, 300, 1500]),
)
TOPS = st.builds(lambda bid, gap, a, b: top((bid, a), (bid + 2 * gap, b)), EVEN, st.integers(0, 3), LOTS, LOTS)
MOMENTS = st.builds(Moment, st.integers(1, 2), st.integers(0, 3 * SLOT_NS))
Step = NewOrder | BookSnapshot | BookDelta | TopOfBook | Moment


@st.composite
def books(draw):
    middle = draw(st.integers(94, 106))
    bids = draw(st.lists(st.tuples(st.integers(90, middle), LOTS), max_size=4, unique_by=lambda x: x[0]))
    asks = draw(st.lists(st.tuples(st.integers(middle + 1, 112), LOTS), max_size=4, unique_by=lambda x: x[0]))
    return snapshot([(2 * p, q) for p, q in bids], [(2 * p, q) for p, q in asks])


STEPS = st.lists(
    st.one_of(ORDERS, ORDERS, ORDERS, books(), st.builds(delta, LEVELS, LEVELS), TOPS, MOMENTS), min_size=5, max_size=40
)


def dark(seed: int) -> MidpointEngine:
    draw = Draw(seed=seed, chance_pct=70, most=1, slot_ns=SLOT_NS)
    engine = MidpointEngine([HALF], START, hidden=HiddenLiquidity(draw))
    engine.on_snapshot(snapshot([(198, 5)], [(204, 5)]))
    return engine


def take(engine: MidpointEngine, step: Step, number: int) -> list[Reports]:
    match step:
        case NewOrder():
            return engine.submit(msgspec.structs.replace(step, client_id=str(number)), number)
        case Moment():
            engine.moment = step
            return []
        case BookSnapshot():
            return engine.on_snapshot(step)
        case BookDelta():
            return engine.on_delta(step)
        case _:
            return engine.on_top(step)


def check_fill(engine: MidpointEngine, new: NewOrder, fills: list[Filled], offered: int) -> int:
    """Check what one order met; returns the money units that it took."""
    placed = engine.find(fills[0].order.client_id) if fills else None
    if placed is None:
        return 0
    (fill,) = fills
    bid, ask = engine.book(SYMBOL, Side.BUY).best, engine.book(SYMBOL, Side.SELL).best
    assert bid < fill.price < ask
    assert 2 * fill.price == bid + ask
    assert (new.price - fill.price) * new.side >= 0
    assert max(new.min_lots, 1) <= fill.lots <= new.lots
    money = fill.lots * fill.price * HALF.lot_value
    assert money <= offered
    # It would have filled more, had there been more.
    assert fill.lots == new.lots or offered - money < fill.price * HALF.lot_value
    return money


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 5), STEPS)
def test_fills_are_at_the_middle_within_the_limit_and_conserve_quantity(seed: int, steps: list[Step]) -> None:
    engine, trades = dark(seed), list[Filled]()
    for number, step in enumerate(steps, 1):
        side = Side.SELL if isinstance(step, NewOrder) and step.side is Side.BUY else Side.BUY
        offered = engine.hidden.left(SYMBOL, side, engine.moment)
        assert 0 <= offered <= engine.hidden.offered(SYMBOL, side, engine.moment)
        reports = take(engine, step, number)
        fills = [r for r in reports if isinstance(r, Filled)]
        if isinstance(step, NewOrder):
            taken = check_fill(engine, step, fills, offered)
            assert engine.hidden.left(SYMBOL, side, engine.moment) == offered - taken
        else:
            assert not fills
        trades += fills
    assert engine.open_orders() == []
    expected = dict(START)
    for fill in trades:
        sign = int(fill.order.side)
        expected["ABC"] += sign * fill.lots * HALF.lot_atoms
        expected["USD"] -= sign * fill.price * fill.lots * HALF.lot_value // MONEY_PER_ATOM
        expected[fill.fee_asset] -= fill.fee
    for asset, total in expected.items():
        assert (engine.balances.total(asset), engine.balances.locked(asset)) == (total, 0)
    for placed in engine.orders.values():
        assert placed.filled == sum(f.lots for f in trades if f.order is placed)
        assert placed.status in {OrderStatus.FILLED, OrderStatus.EXPIRED}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 5), STEPS)
def test_the_same_seed_and_market_time_give_the_same_fills(seed: int, steps: list[Step]) -> None:
    first, second = dark(seed), dark(seed)
    for number, step in enumerate(steps, 1):
        assert take(first, step, number) == take(second, step, number)
    assert first.balances.total("USD") == second.balances.total("USD")


@given(st.integers(0, 9), SIDES, MOMENTS, MOMENTS)
def test_what_is_hidden_depends_on_its_slot_alone(seed: int, side: Side, moment: Moment, other: Moment) -> None:
    draw = Draw(seed=seed, chance_pct=100, most=1000, slot_ns=SLOT_NS)
    asked, fresh = HiddenLiquidity(draw), HiddenLiquidity(draw)
    asked.offered(SYMBOL, side, other)
    amount = asked.offered(SYMBOL, side, moment)
    assert amount == fresh.offered(SYMBOL, side, moment)
    within = Moment(moment.number, moment.ns // SLOT_NS * SLOT_NS)
    assert amount == fresh.offered(SYMBOL, side, within)
    later = Moment(moment.number, moment.ns + SLOT_NS)
    assert amount != fresh.offered(SYMBOL, side, later)
    assert HiddenLiquidity(msgspec.structs.replace(draw, chance_pct=0)).offered(SYMBOL, side, moment) == 0


def refusal(engine: MatchingEngine, new: NewOrder) -> Refusal:
    (report,) = engine.submit(new, 1)
    assert isinstance(report, Refused)
    return report.refusal


def test_only_immediate_limit_orders_are_taken_and_only_here_with_a_minimum() -> None:
    engine, ioc = dark(1), order(Side.BUY, 5, 201, tif=TimeInForce.IOC)
    assert refusal(engine, order(Side.BUY, 5)) is Refusal.ORDER_TYPE
    assert refusal(engine, order(Side.BUY, 5, 201, kind=OrderType.LIMIT_MAKER)) is Refusal.ORDER_TYPE
    assert refusal(engine, order(Side.BUY, 5, 201)) is Refusal.TIME_IN_FORCE
    assert refusal(engine, order(Side.BUY, 5, 201, tif=TimeInForce.FOK)) is Refusal.TIME_IN_FORCE
    assert refusal(engine, msgspec.structs.replace(ioc, min_lots=6)) is Refusal.LOT_SIZE
    lit = MatchingEngine([INSTRUMENT], START)
    assert refusal(lit, msgspec.structs.replace(ioc, min_lots=5)) is Refusal.MIN_QUANTITY


def test_a_reference_off_its_grid_is_an_error_and_a_locked_one_has_no_middle() -> None:
    engine = dark(1)
    assert engine.middle(SYMBOL) == 201
    assert HALF.price(201) == Decimal("1.005")
    engine.on_top(top((204, 1), (204, 1)))
    assert engine.middle(SYMBOL) == 0
    engine.on_snapshot(snapshot([(199, 5)], [(204, 5)]))
    with pytest.raises(GridError, match="even ticks"):
        engine.middle(SYMBOL)
