"""Stops that the venue holds: sent at once through the gate, and watched by the kernel while they are not there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kernels import Rig
from tests.unit.test_conditional_orders import SYMBOL, WIDE, children, held, hold, stop, trade
from workers.engine import events as e
from workers.engine.config import SECOND_NS
from workers.engine.execution.conditional_place import Oco
from workers.engine.execution.conditional_types import ConditionalKind, ConditionalStatus, TriggerSource
from workers.engine.execution.parent import Parent, ParentRequest, ParentStatus
from workers.engine.market.venues import BINANCEUS, OANDA, PAPER, Feature
from workers.engine.vocabulary import FeedState, OrderStatus, OrderType, Side, TimeInForce, TradingState

LAST = TriggerSource.LAST_TRADE


def start(lots: int = 50_000, features: frozenset[Feature] = PAPER.features, **limits: Any) -> Rig:
    """A desk at 100.00 at a venue that holds stops."""
    rig = Rig(features=features).open(limits={**WIDE, **limits})
    rig.top(SYMBOL, 99_99, 100_01)
    rig.top("ETHUSDT", 9_99, 10_01)
    if lots:
        bought = rig.order(SYMBOL, Side.BUY, lots, 100_01)
        assert bought is not None
        rig.accept(bought)
        rig.fill(bought, lots, 100_00)
    return rig


def resting(rig: Rig, one: str | None) -> Any:
    (child,) = [child for child in children(rig, one) if child.open]
    return child


def accepted(rig: Rig, **changes: Any) -> str:
    one = hold(rig, stop(source=LAST, **changes))
    assert one is not None
    rig.accept(resting(rig, one).client_id)
    return one


def test_a_plain_stop_leaves_at_once_with_its_trigger_and_counts_as_an_open_order() -> None:
    rig = start()
    one = accepted(rig, trigger=80_00)
    child, intent = resting(rig, one), rig.sent[-1].intent
    assert (held(rig, one).native, held(rig, one).emulated) == (True, "")
    assert (intent.trigger, intent.order_type, intent.price, intent.reduce_only) == (80_00, OrderType.MARKET, 0, True)
    assert (child.status, rig.books.lines[SYMBOL].open_sell) == (OrderStatus.WORKING, 50_000)
    assert rig.order(SYMBOL, Side.SELL, 50_000, 100_00) is None, "its lots are promised"
    trade(rig, 79_00)
    assert held(rig, one).status is ConditionalStatus.ARMED, "firing is the venue's business"
    rig.fill(child.client_id, 20_000, 79_50)
    assert (held(rig, one).status, held(rig, one).seen) == (ConditionalStatus.TRIGGERED, 79_50)
    rig.report(e.OrderEnded(ts=rig.now, client_id=child.client_id, status=OrderStatus.EXPIRED, detail=""))
    rig.wait(2)
    rig.top(SYMBOL, 79_49, 79_51)
    rest = resting(rig, one)
    assert (rest.lots, rest.trigger) == (30_000, 0), "what the venue left is sold as a triggered stop's rest"
    rig.accept(rest.client_id)
    rig.fill(rest.client_id, 30_000, 79_00)
    assert held(rig, one).status is ConditionalStatus.FILLED
    rig.check_replay()


def test_a_stop_that_buys_reserves_its_worst_case_at_the_trigger() -> None:
    rig = start(0)
    one = hold(rig, stop(side=Side.BUY, trigger=110_00, reduce_only=False, source=LAST))
    child = resting(rig, one)
    line = rig.books.lines[SYMBOL]
    assert child.reserved == line.worst_cost(OrderType.MARKET, 0, 110_00, 50_000) == rig.books.reserved
    assert child.reserved > 110_00 * 50_000 * line.lot_value


@pytest.mark.parametrize(
    ("changes", "features", "why"),
    [
        ({}, PAPER.features, ""),
        ({"price": 97_00}, PAPER.features, ""),
        ({"price": 97_00}, BINANCEUS.features, ""),
        ({}, BINANCEUS.features, "the venue has none"),
        ({}, OANDA.features, "so that the gate and halts apply when it fires"),
        ({"native": False}, PAPER.features, "so it was asked for"),
        ({"source": TriggerSource.OPPOSITE_TOUCH}, PAPER.features, "the venue's stops look at its last trade"),
        ({"kind": ConditionalKind.TRAILING_STOP, "trail_ticks": 100}, PAPER.features, "the venue has none"),
    ],
)
def test_what_the_venue_cannot_hold_is_held_by_the_kernel_and_says_why(
    changes: dict[str, Any], features: frozenset[Feature], why: str
) -> None:
    rig = start(features=features)
    one = hold(rig, stop(**{"source": LAST, **changes}))
    assert held(rig, one).native is (not why)
    assert held(rig, one).emulated.endswith(why)
    assert bool(held(rig, one).children) is (not why)


def test_an_oco_stays_in_the_kernel() -> None:
    rig = start()
    profit = stop(kind=ConditionalKind.LIMIT, trigger=0, price=105_00)
    one = hold(rig, Oco(first=profit, second=stop(source=LAST)))
    assert not any(order.native for order in rig.books.conditionals.group(held(rig, one)))


@pytest.mark.parametrize("reduce_only", [True, False])
def test_a_stale_feed_and_a_clean_end_leave_a_stop_that_protects_and_take_one_that_opens(*, reduce_only: bool) -> None:
    rig = start()
    one = accepted(rig, reduce_only=reduce_only)
    child = resting(rig, one)
    rig.feed(SYMBOL, FeedState.STALE)
    assert child.cancel_requested is (not reduce_only)
    rig.take(rig.kernel.cancel_all(rig.now, reason="the worker stops", by="w", parents=False))
    assert child.cancel_requested is (not reduce_only)
    rig.report(e.OrderEnded(ts=rig.now, client_id=child.client_id, status=OrderStatus.CANCELED, detail=""))
    rig.wait(2)
    assert not [order for order in children(rig, one) if order.open], "nothing is sent while prices are stale"
    rig.feed(SYMBOL, FeedState.LIVE)
    rig.top(SYMBOL, 99_99, 100_01)
    assert resting(rig, one).trigger == 98_00
    rig.check_replay()


def test_a_refusal_of_the_venue_gives_it_to_the_kernel_which_fires_at_the_next_price() -> None:
    rig = start()
    one = hold(rig, stop(source=LAST))
    message = "Stop price would trigger immediately."
    child = resting(rig, one).client_id
    rig.report(e.OrderRejected(ts=rig.now, client_id=child, code="-2010", message=message))
    assert (held(rig, one).native, message in held(rig, one).emulated) == (False, True)
    rig.wait(2)
    rig.top(SYMBOL, 97_80, 97_82)
    assert not [order for order in children(rig, one) if order.open]
    trade(rig, 97_90)
    assert (resting(rig, one).trigger, resting(rig, one).order_type) == (0, OrderType.MARKET)
    rig.check_replay()


def test_while_it_is_not_at_the_venue_the_kernel_watches() -> None:
    rig = start()
    one = accepted(rig)
    gone = resting(rig, one).client_id
    rig.report(e.OrderEnded(ts=rig.now, client_id=gone, status=OrderStatus.EXPIRED, detail="SESSION_BREAK"))
    trade(rig, 97_00)
    assert held(rig, one).status is ConditionalStatus.TRIGGERED
    rig.wait(2)
    rig.top(SYMBOL, 96_99, 97_01)
    assert resting(rig, one).trigger == 0


@pytest.mark.parametrize("how", ["cancel", "halt", "run", "expiry", "position"])
def test_what_ends_an_order_ends_it_at_the_venue_too(how: str) -> None:
    rig = start()
    one = accepted(rig)
    child = resting(rig, one)
    if how == "cancel":
        rig.kernel.desk.cancel(one, "not wanted")
    elif how == "halt":
        rig.state(TradingState.HALTED, 2)
    elif how == "run":
        rig.take(rig.kernel.stop_run(rig.now, reason="enough"))
    elif how == "expiry":
        rig = start()
        one = hold(rig, stop(source=LAST, tif=TimeInForce.GTD, expires_at=rig.now + SECOND_NS)) or ""
        child = resting(rig, one)
        rig.wait(2)
        rig.top(SYMBOL, 99_99, 100_01)
    else:
        rig.fill(child.client_id, 50_000, 98_00)
        assert held(rig, one).status is ConditionalStatus.FILLED
        return
    assert child.cancel_requested
    assert not held(rig, one).live


def test_the_whole_gate_stands_before_it() -> None:
    rig = start(max_order_notional="45000")
    one = hold(rig, stop(source=LAST, reduce_only=False, lots=60_000))
    assert held(rig, one).status is ConditionalStatus.DENIED, "more than is held cannot be sold, now or later"
    assert not [send for send in rig.sent if send.intent.trigger]


def closing(rig: Rig, lots: int, **changes: Any) -> Parent:
    fields = {"reduce_only": True, "displaces": True, "params": {"slices": 1, "style": "take", "offset_ticks": 5}}
    request = ParentRequest(
        symbol=SYMBOL,
        side=Side.SELL,
        lots=lots,
        algorithm="twap",
        end=rig.now + 120 * SECOND_NS,
        **{**fields, **changes},
    )
    rig.take(rig.kernel.start_parent(rig.now, request, parent_id="p-1", by="operator"))
    return rig.books.parents["p-1"]


def test_closing_a_position_first_takes_off_the_stop_that_holds_its_lots() -> None:
    rig = start()
    one = accepted(rig, lots=30_000)
    other = rig.order(SYMBOL, Side.SELL, 10_000, 100_50)
    assert other is not None
    rig.accept(other)
    stop_order = resting(rig, one)
    parent = closing(rig, 50_000)
    assert stop_order.cancel_requested
    assert rig.books.orders[other].cancel_requested
    assert not parent.open, "nothing leaves while the stop may still fill"
    # The stop fires while its cancel is under way: what it sold is not sold again.
    rig.fill(stop_order.client_id, 10_000, 99_99)
    for client_id in (stop_order.client_id, other):
        rig.report(e.OrderEnded(ts=rig.now, client_id=client_id, status=OrderStatus.CANCELED, detail=""))
    rig.wait(1)
    rig.top(SYMBOL, 99_99, 100_01)
    (child,) = (rig.books.orders[client_id] for client_id in parent.open)
    assert child.lots == 40_000
    rig.accept(child.client_id)
    rig.fill(child.client_id, child.lots, 99_99)
    assert held(rig, one).status is ConditionalStatus.CANCELED
    rig.wait(1)
    rig.top(SYMBOL, 99_99, 100_01)
    assert (parent.status, parent.filled) == (ParentStatus.EXPIRED, 40_000)
    assert "10000 lots left, and 0 in the position" in parent.detail
    rig.check_replay()


def test_a_parent_that_only_reduces_leaves_a_stop_where_it_is_and_takes_what_is_free() -> None:
    rig = start()
    child = resting(rig, accepted(rig, lots=30_000))
    parent = closing(rig, 50_000, displaces=False)
    assert not child.cancel_requested
    assert [rig.books.orders[one].lots for one in parent.open] == [20_000]


def test_closing_what_the_stop_does_not_hold_leaves_it_where_it_is() -> None:
    rig = start()
    child = resting(rig, accepted(rig, lots=30_000))
    parent = closing(rig, 20_000)
    assert not child.cancel_requested
    assert len(parent.open) == 1
