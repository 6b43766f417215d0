"""Whatever the market and the venue do, a parent's children are what they must be."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kernels import Rig
from tests.support.parents import COARSE, MIDDLE, Bench
from workers.engine import events as e
from workers.engine.config import SECOND_NS
from workers.engine.execution.parent import Parent, ParentStatus
from workers.engine.execution.tactic import child_lots, least_lots
from workers.engine.vocabulary import FeedState, OrderStatus, Side, TradingState

CURVE = {"bin_ns": 5 * SECOND_NS, "weights": [5, 1, 9, 0, 2]}
ALGORITHMS: list[tuple[str, dict[str, Any]]] = [
    ("twap", {"slices": 5}),
    ("twap", {"slices": 9, "jitter": 0.8, "style": "take"}),
    ("vwap", {"curve": CURVE, "patience_s": 1.0}),
    ("pov", {"rate": 0.25, "lookback_s": 10.0}),
    ("iceberg", {"display_lots": 12, "vary": 0.5}),
    ("buckets", {"buckets": 4, "catch_up": 0.5}),
    ("adaptive", {"urgency": 2.0, "steps": 8}),
]
KINDS = ("time", "time", "time", "quote", "trade", "answer", "answer", "answer", "fill", "unknown", "settle")
TROUBLE = ("restart", "feed", "halt", "reconcile", "gap", "cancel", "heal", "heal", "heal", "heal")
steps = st.tuples(st.sampled_from(KINDS + KINDS + TROUBLE), st.integers(0, 99))
HORIZON_S = 20.0


def restart(bench: Bench) -> None:
    """A new process takes the journal: nothing but the journal is left of the old one."""
    old = bench.rig
    rig = Rig((bench.item,))
    for name in ("now", "journal", "sent", "cancels", "trade_id"):
        setattr(rig, name, getattr(old, name))
    records = [e.Record(seq=n, hash="", event=event) for n, event in enumerate(rig.journal)]  # type: ignore[arg-type]  # all are Journalled
    rig.kernel.recover(records)
    opened = rig.kernel.open_session(
        rig.now, epoch=old.books.epoch + 1, venue="paper", worker="test", instruments=[bench.item]
    )
    rig.take(opened)
    bench.rig = rig


def heal(bench: Bench) -> None:
    rig = bench.rig
    rig.reconcile()
    rig.take(rig.kernel.confirm_limits(rig.now, version=1))
    rig.state(TradingState.ACTIVE, rig.books.control_version + 1)
    rig.feed("BTCUSDT", FeedState.LIVE)
    bench.quote()


def step(bench: Bench, parent_id: str, what: str, number: int) -> None:
    rig = bench.rig
    working = [order for order in rig.books.open_orders() if order.status is not OrderStatus.INTENT]
    if what == "time":
        bench.wait(number / 40)
    elif what == "quote":
        bench.quote(number % 9 - 4)
    elif what == "trade":
        bench.trade(number + 1)
    elif what == "answer":
        bench.answer(number % 6)
    elif what == "fill" and working:
        rig.fill(working[0].client_id, max(working[0].remaining * number // 99, 1), working[0].price)
    elif what == "unknown":
        for order in rig.books.open_orders():
            if order.status is OrderStatus.INTENT:
                rig.report(e.OrderUnknown(ts=rig.now, client_id=order.client_id, detail="timeout"))
    elif what == "settle" and working and working[0].status is OrderStatus.UNKNOWN:
        rig.report(e.OrderAccepted(ts=rig.now, client_id=working[0].client_id, venue_order_id="v"))
    elif what == "restart":
        restart(bench)
    elif what == "feed":
        rig.feed("BTCUSDT", FeedState.STALE)
    elif what == "halt" and number < 10:
        rig.state(TradingState.HALTED, rig.books.control_version + 1)
    elif what == "reconcile":
        rig.reconcile(ok=False)
    elif what == "gap":
        rig.take(rig.kernel.on_gap(rig.now))
    elif what == "cancel" and number < 10:
        rig.take(rig.kernel.cancel_parent(rig.now, parent_id=parent_id, reason="enough"))
    elif what == "heal":
        heal(bench)


def never_too_much(bench: Bench, parent: Parent, rate: float) -> None:
    """The children that are done or may fill never exceed the parent, nor its share of the volume seen."""
    committed = bench.committed(parent)
    assert committed <= parent.lots
    if parent.algorithm == "pov":
        seen = sum(lots for ts, lots in bench.tape if ts >= parent.start)
        assert committed <= rate * seen
    orders = [bench.books.orders[x.client_id] for x in bench.intents(parent)]
    assert sum(order.filled for order in orders) == parent.filled
    assert parent.open == [order.client_id for order in orders if order.open]
    assert len(parent.open) <= 1


def nothing_after_the_end(journal: list[e.JournalEvent], parent_id: str) -> None:
    """From the event that asks for the end on, no child is decided."""
    over = False
    for event in journal:
        if isinstance(event, e.ParentCancelRequested | e.ParentEnded) and event.parent_id == parent_id:
            over = True
        assert not (over and isinstance(event, e.OrderIntended) and event.parent_id == parent_id)


@given(st.sampled_from(ALGORITHMS), st.integers(1, 400), st.sampled_from(Side), st.lists(steps, max_size=90))
@settings(max_examples=120, deadline=None)
def test_a_parent_never_exceeds_itself_and_replays(
    chosen: tuple[str, dict[str, Any]], lots: int, side: Side, life: list[tuple[str, int]]
) -> None:
    name, params = chosen
    bench = Bench(COARSE)
    bench.rig.report(e.BalanceAdopted(ts=bench.rig.now, asset="BTC", total=10**11))
    parent_id = bench.start(name, lots, HORIZON_S, side=side, **params).parent_id
    for what, number in life:
        step(bench, parent_id, what, number)
        never_too_much(bench, bench.books.parents[parent_id], params.get("rate", 1.0))
    nothing_after_the_end(bench.rig.journal, parent_id)
    bench.rig.check_replay()
    numbers = [x.child for x in bench.intents(bench.books.parents[parent_id])]
    assert numbers == list(range(1, len(numbers) + 1))
    for x in bench.intents(bench.books.parents[parent_id]):
        assert x.lots >= least_lots(COARSE, x.price)


@given(st.sampled_from(ALGORITHMS), st.integers(1, 2000), st.sampled_from(Side), st.integers(-1, 1))
@settings(max_examples=60, deadline=None)
def test_a_market_that_trades_leaves_nothing_and_every_lot_is_accounted_for(
    chosen: tuple[str, dict[str, Any]], lots: int, side: Side, move: int
) -> None:
    name, params = chosen
    # Eighty moments at which an iceberg shows twelve lots, and at which two hundred trade.
    lots = min(lots, 600) if name == "iceberg" else lots
    bench = Bench(COARSE)
    bench.rig.report(e.BalanceAdopted(ts=bench.rig.now, asset="BTC", total=10**11))
    parent = bench.start(name, lots, HORIZON_S, side=side, **params)
    bench.run(HORIZON_S + 1, volume=200, move=move)
    children = bench.intents(parent)
    if lots < least_lots(COARSE, MIDDLE - 210):
        # At the price of some moments the venue takes so little, at others it does not.
        assert parent.status is ParentStatus.FILLED or "takes no order below" in parent.detail
        return
    assert parent.status is ParentStatus.FILLED, parent.detail
    assert sum(bench.books.orders[x.client_id].filled for x in children) == lots
    assert all(x.lots >= least_lots(COARSE, x.price) for x in children)
    if name == "iceberg":
        assert all(x.lots <= 12 * 1.5 + least_lots(COARSE, x.price) * 1.1 + 1 for x in children)
    bench.rig.check_replay()


@given(
    st.integers(0, 500), st.integers(0, 500), st.integers(1, 40), st.integers(1, 300), st.sampled_from([0, 0, 7, 60])
)
@settings(max_examples=200, deadline=None)
def test_a_child_is_never_below_the_minimum_nor_leaves_less_than_it(
    deficit: int, remaining: int, least: int, most: int, display: int
) -> None:
    size = child_lots(deficit=deficit, remaining=remaining, least=least, most=most, display=display)
    assert 0 <= size <= min(deficit, remaining, most)
    assert size == 0 or size >= least
    left = remaining - size
    if size and remaining <= most:
        assert left == 0 or left >= least
    if size == 0 and deficit >= remaining >= least and most >= remaining:
        raise AssertionError("all is released, and nothing is sent")
