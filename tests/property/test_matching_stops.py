"""Stops of the matching engine, whatever the market does: triggered exactly when their price trades, and conserved."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.matching import INSTRUMENT, START, delta, opened, order, snapshot, trade
from workers.engine.events import BookDelta, Trade
from workers.engine.execution.matching import MatchingEngine
from workers.engine.execution.matching_types import Filled, NewOrder, Refusal, Refused, Triggered, VenueOrder
from workers.engine.instruments import MONEY_PER_ATOM
from workers.engine.vocabulary import OrderType, Side

PRICES, LOTS = st.integers(95, 105), st.integers(1, 40)
SIDES = st.sampled_from([Side.BUY, Side.SELL])
STOPS = st.builds(
    lambda side, lots, limit, trigger: order(side, lots, limit, trigger=trigger),
    SIDES,
    LOTS,
    st.one_of(st.just(0), PRICES),
    PRICES,
)
LEVELS = st.lists(st.tuples(PRICES, LOTS), max_size=3, unique_by=lambda level: level[0])
STEPS = st.lists(
    st.one_of(
        STOPS,
        STOPS,
        st.builds(order, SIDES, LOTS, PRICES),
        st.integers(1, 25),
        st.builds(trade, PRICES, LOTS, SIDES),
        st.builds(trade, PRICES, LOTS, SIDES),
        st.builds(delta, LEVELS, LEVELS),
        st.just(None),
    ),
    min_size=6,
    max_size=30,
)


def play(engine: MatchingEngine, step, number: int):
    match step:
        case NewOrder():
            return engine.submit(msgspec.structs.replace(step, client_id=str(number)), number)
        case int():
            return engine.cancel(step, number)
        case Trade():
            return engine.on_trade(msgspec.structs.replace(step, ts_event=number))
        case BookDelta():
            return engine.on_delta(step)


def again(engine: MatchingEngine, fills: list[Filled]) -> MatchingEngine:
    """The engine of a restarted venue: balances without locks, every order as the log has it, and the book shown."""
    restarted = MatchingEngine([INSTRUMENT], {a: engine.balances.total(a) for a in engine.balances.assets()})
    for placed in engine.orders.values():
        restarted.restore(msgspec.json.decode(msgspec.json.encode(placed), type=VenueOrder))
    restarted._next_trade_id = engine._next_trade_id
    reports = restarted.on_snapshot(snapshot([(97, 30), (95, 40)], [(103, 30), (105, 40)]))
    fills += [report for report in reports if isinstance(report, Filled)]
    return restarted


def check_balances(engine: MatchingEngine, fills: list[Filled]) -> None:
    expected, locked = dict(START), {"ABC": 0, "USD": 0}
    for fill in fills:
        quote = fill.price * fill.lots * INSTRUMENT.lot_value // MONEY_PER_ATOM
        expected["ABC"] += int(fill.order.side) * fill.lots * INSTRUMENT.lot_atoms
        expected["USD"] -= int(fill.order.side) * quote
        expected[fill.fee_asset] -= fill.fee
    for held in engine.open_orders():
        if held.side is Side.SELL:
            locked["ABC"] += held.leaves * INSTRUMENT.lot_atoms
        else:
            locked["USD"] += held.leaves * held.price * INSTRUMENT.lot_value // MONEY_PER_ATOM
    for asset, total in expected.items():
        assert (engine.balances.total(asset), engine.balances.locked(asset)) == (total, locked[asset])


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_a_stop_is_triggered_exactly_when_its_price_trades_and_nothing_is_lost(steps) -> None:
    engine = opened([(97, 30), (95, 40)], [(103, 30), (105, 40)])
    fills: list[Filled] = []
    last = 0
    for number, step in enumerate(steps, 1):
        if step is None:
            engine, last = again(engine, fills), 0
            check_balances(engine, fills)
            continue
        waiting = {o.order_id: o.trigger for o in engine.open_orders() if o.waits}
        sides = {o.order_id: o.side for o in engine.open_orders()}
        reports = play(engine, step, number)
        triggered = [r.order.order_id for r in reports if isinstance(r, Triggered)]
        if isinstance(step, Trade):
            last = step.price
            assert triggered == [n for n, at in waiting.items() if (step.price - at) * sides[n] >= 0]
        else:
            assert not triggered
        if isinstance(step, NewOrder) and step.trigger:
            reached = bool(last) and (last - step.trigger) * step.side >= 0
            refused = isinstance(reports[0], Refused) and reports[0].refusal is Refusal.TRIGGER_REACHED
            assert refused is reached
        done = [r for r in reports if isinstance(r, Filled)]
        assert all(not fill.order.waits for fill in done), "a stop that waits trades nothing"
        fills += done
        check_balances(engine, fills)
    for placed in engine.orders.values():
        assert placed.filled == sum(f.lots for f in fills if f.order.order_id == placed.order_id)
        if placed.trigger and placed.triggered and placed.order_type is OrderType.MARKET:
            assert not placed.status.is_open
