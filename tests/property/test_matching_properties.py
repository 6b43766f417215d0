"""Whatever the market and the account do: quantity and balances are conserved, limits and priority are kept."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.matching import INSTRUMENT, START, delta, opened, order, snapshot, top, trade
from workers.engine.events import BookDelta, BookSnapshot, Trade
from workers.engine.execution.matching import MatchingEngine
from workers.engine.execution.matching_types import Filled, NewOrder, Refused, SelfTrade
from workers.engine.instruments import MONEY_PER_ATOM
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

PRICES = st.integers(95, 105)
LOTS = st.integers(1, 40)
SIDES = st.sampled_from([Side.BUY, Side.SELL])
LEVELS = st.lists(st.tuples(PRICES, st.integers(0, 40)), max_size=4, unique_by=lambda level: level[0])


@st.composite
def uncrossed(draw):
    middle = draw(st.integers(96, 104))
    bids = draw(st.lists(st.tuples(st.integers(90, middle), LOTS), max_size=5, unique_by=lambda x: x[0]))
    asks = draw(st.lists(st.tuples(st.integers(middle + 1, 110), LOTS), max_size=5, unique_by=lambda x: x[0]))
    return snapshot(bids, asks)


@st.composite
def orders(draw):
    kind = draw(st.sampled_from([OrderType.LIMIT, OrderType.LIMIT, OrderType.MARKET, OrderType.LIMIT_MAKER]))
    return order(
        draw(SIDES),
        draw(LOTS),
        0 if kind is OrderType.MARKET else draw(PRICES),
        kind=kind,
        tif=draw(st.sampled_from(list(TimeInForce))) if kind is OrderType.LIMIT else TimeInForce.GTC,
        self_trade=draw(st.sampled_from(list(SelfTrade))),
    )


TOPS = st.builds(lambda bid, gap, a, b: top((bid, a), (bid + gap, b)), PRICES, st.integers(1, 3), LOTS, LOTS)
RESTING = st.builds(order, SIDES, LOTS, PRICES)
STEPS = st.lists(
    st.one_of(
        RESTING,
        RESTING,
        orders(),
        st.integers(0, 30),
        uncrossed(),
        st.builds(delta, LEVELS, LEVELS),
        TOPS,
        st.builds(trade, PRICES, LOTS, SIDES),
        st.builds(trade, PRICES, LOTS, SIDES),
    ),
    min_size=8,
    max_size=40,
)


def run(engine: MatchingEngine, step, number: int):
    """One step; an integer cancels the order of that number."""
    match step:
        case NewOrder():
            return engine.submit(msgspec.structs.replace(step, client_id=str(number)), number)
        case int():
            return engine.cancel(step, number)
        case Trade():
            return engine.on_trade(step)
        case BookSnapshot():
            return engine.on_snapshot(step)
        case BookDelta():
            return engine.on_delta(step)
        case _:
            return engine.on_top(step)


def check_balances(engine: MatchingEngine, trades: list[Filled]) -> None:
    expected = dict(START)
    for fill in trades:
        base = fill.lots * INSTRUMENT.lot_atoms
        quote = fill.price * fill.lots * INSTRUMENT.lot_value // MONEY_PER_ATOM
        sign = int(fill.order.side)
        expected["ABC"] += sign * base
        expected["USD"] -= sign * quote
        expected[fill.fee_asset] -= fill.fee
    locked = {"ABC": 0, "USD": 0}
    for resting in engine.open_orders():
        if resting.side is Side.BUY:
            locked["USD"] += resting.leaves * resting.price * INSTRUMENT.lot_value // MONEY_PER_ATOM
        else:
            locked["ABC"] += resting.leaves * INSTRUMENT.lot_atoms
    for asset, total in expected.items():
        assert engine.balances.total(asset) == total
        assert engine.balances.locked(asset) == locked[asset]


def check_order(fill: Filled) -> None:
    placed = fill.order
    assert 0 < fill.filled <= placed.lots
    if placed.price:
        assert (placed.price - fill.price) * placed.side >= 0
    if fill.maker:
        assert fill.price == placed.price


def reached(engine: MatchingEngine, step, fill: Filled) -> bool:
    """True when the market came to the price of a resting order that was filled by ``step``."""
    placed = fill.order
    if isinstance(step, Trade):
        return step.aggressor is not placed.side and (placed.price - step.price) * placed.side >= 0
    other = engine.book(placed.symbol, Side.SELL if placed.side is Side.BUY else Side.BUY).best
    return other > 0 and (placed.price - other) * placed.side >= 0


@settings(max_examples=300, deadline=None)
@given(uncrossed(), STEPS)
def test_quantity_and_balances_are_conserved(book, steps) -> None:
    engine = opened([], [])
    engine.on_snapshot(book)
    trades: list[Filled] = []
    for number, step in enumerate(steps, 1):
        reports = run(engine, step, number)
        done = [r for r in reports if isinstance(r, Filled)]
        trades += done
        for fill in done:
            check_order(fill)
            assert not fill.maker or reached(engine, step, fill)
        check_balances(engine, trades)
        if isinstance(step, Trade):
            assert sum(f.lots for f in done) <= step.lots
    for placed in engine.orders.values():
        assert placed.filled == sum(f.lots for f in trades if f.order is placed)
        assert (placed.status is OrderStatus.FILLED) == (placed.leaves == 0)


@settings(max_examples=300, deadline=None)
@given(uncrossed(), STEPS)
def test_immediate_orders_leave_nothing_and_fill_or_kill_is_all_or_nothing(book, steps) -> None:
    engine = opened([], [])
    engine.on_snapshot(book)
    for number, step in enumerate(steps, 1):
        reports = run(engine, step, number)
        if not isinstance(step, NewOrder) or isinstance(reports[0], Refused):
            continue
        placed = engine.find(str(number))
        assert placed is not None
        if step.tif is TimeInForce.FOK:
            assert placed.filled in {0, placed.lots}
        if step.tif is not TimeInForce.GTC or step.order_type is OrderType.MARKET:
            assert not placed.status.is_open
        if step.order_type is OrderType.LIMIT_MAKER:
            assert not any(isinstance(r, Filled) and not r.maker for r in reports)


@settings(max_examples=300, deadline=None)
@given(uncrossed(), STEPS)
def test_no_order_is_served_before_a_better_or_an_older_one(book, steps) -> None:
    engine = opened([], [])
    engine.on_snapshot(book)
    for number, step in enumerate(steps, 1):
        reports = run(engine, step, number)
        served = [r.order for r in reports if isinstance(r, Filled) and r.maker]
        for placed in served:
            for other in engine.open_orders():
                if other.side is placed.side and other is not placed:
                    ahead = (other.price - placed.price) * other.side
                    assert ahead < 0 or (ahead == 0 and other.order_id > placed.order_id)


@settings(max_examples=200, deadline=None)
@given(uncrossed(), st.lists(st.builds(order, SIDES, LOTS, PRICES, tif=st.just(TimeInForce.IOC)), max_size=20))
def test_no_more_is_taken_from_a_level_than_it_shows(book, wanted) -> None:
    engine = opened([], [])
    engine.on_snapshot(book)
    taken: dict[tuple[Side, int], int] = {}
    for number, new in enumerate(wanted):
        for report in run(engine, new, number):
            if isinstance(report, Filled):
                key = (report.order.side, report.price)
                taken[key] = taken.get(key, 0) + report.lots
    shown = {(Side.BUY, p): n for p, n in book.asks} | {(Side.SELL, p): n for p, n in book.bids}
    assert all(lots <= shown[key] for key, lots in taken.items())


@settings(max_examples=100, deadline=None)
@given(uncrossed(), STEPS)
def test_the_same_inputs_give_the_same_reports(book, steps) -> None:
    def play() -> list[bytes]:
        engine = opened([], [])
        engine.on_snapshot(book)
        return [msgspec.json.encode(run(engine, step, n)) for n, step in enumerate(steps, 1)]

    assert play() == play()
