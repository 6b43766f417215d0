"""Conditional orders held by the kernel: what fires, what it releases, and what ends with what."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kernels import LIMITS, Rig
from workers.engine import events as e
from workers.engine.config import SECOND_NS
from workers.engine.execution.conditional_place import Bracket, Oco
from workers.engine.execution.conditional_types import (
    Conditional,
    ConditionalKind,
    ConditionalRequest,
    ConditionalStatus,
    TriggerSource,
)
from workers.engine.market.venues import Feature
from workers.engine.risk.gate import OrderRequest
from workers.engine.risk.scopes import Selection
from workers.engine.vocabulary import FeedState, OrderStatus, OrderType, Side, TimeInForce, TradingState

SYMBOL = "BTCUSDT"
WIDE = {**LIMITS, "collar_bps": 1000, "max_open_orders": 50}


def held(rig: Rig, client_id: str | None) -> Conditional:
    assert client_id is not None
    found = rig.kernel.desk.conditional(client_id)
    assert found is not None
    return found


def hold(rig: Rig, request: Any) -> str | None:
    rig.kernel.desk.now = rig.now
    client_id = rig.kernel.desk.hold(request)
    rig.take(rig.kernel.on_timer(rig.now))
    return client_id


def start(lots: int = 1000, limits: dict[str, Any] | None = None) -> Rig:
    """A desk at 100.00 that owns ``lots`` (0.01 BTC each thousand)."""
    rig = Rig().open(limits=limits or WIDE)
    rig.top(SYMBOL, 99_99, 100_01)
    rig.top("ETHUSDT", 9_99, 10_01)
    if lots:
        bought = rig.order(SYMBOL, Side.BUY, lots, 100_01)
        assert bought is not None
        rig.accept(bought)
        rig.fill(bought, lots, 100_00)
    return rig


def stop(trigger: int = 98_00, lots: int = 50_000, **changes: Any) -> ConditionalRequest:
    fields: dict[str, Any] = {"symbol": SYMBOL, "side": Side.SELL, "lots": lots, "trigger": trigger}
    return ConditionalRequest(**{**fields, "reduce_only": True, **changes})


def trade(rig: Rig, price: int) -> None:
    event = e.Trade(
        symbol=SYMBOL, ts_event=rig.now, ts_recv=rig.now, trade_id=1, price=price, lots=1, aggressor=Side.SELL
    )
    rig.take(rig.kernel.on_trade(event, rig.now))


def children(rig: Rig, client_id: str | None) -> list[Any]:
    return [rig.books.orders[child] for child in held(rig, client_id).children]


def test_a_stop_fires_at_the_opposite_touch_and_releases_a_market_order_through_the_gate() -> None:
    rig = start(50_000)
    one = hold(rig, stop())
    assert held(rig, one).emulated == "STOP held by the kernel on the opposite touch: the venue has none"
    rig.top(SYMBOL, 98_01, 98_03)
    assert held(rig, one).status is ConditionalStatus.ARMED
    trade(rig, 97_00)
    assert held(rig, one).status is ConditionalStatus.ARMED, "the last trade is not its source"
    rig.top(SYMBOL, 98_00, 98_02)
    assert held(rig, one).status is ConditionalStatus.TRIGGERED
    (child,) = children(rig, one)
    assert (child.order_type, child.side, child.lots, child.reduce_only) == (OrderType.MARKET, Side.SELL, 50_000, True)
    assert rig.sent[-1].intent.client_id == child.client_id
    rig.accept(child.client_id)
    rig.fill(child.client_id, 50_000, 98_00)
    assert held(rig, one).status is ConditionalStatus.FILLED
    rig.check_replay()


def test_a_stop_on_the_last_trade_does_not_look_at_quotes() -> None:
    rig = start(50_000)
    one = hold(rig, stop(source=TriggerSource.LAST_TRADE))
    rig.top(SYMBOL, 97_00, 97_02)
    assert held(rig, one).status is ConditionalStatus.ARMED
    trade(rig, 98_00)
    assert held(rig, one).status is ConditionalStatus.TRIGGERED


def test_a_stop_limit_and_a_take_profit_release_limit_orders() -> None:
    rig = start(50_000)
    one = hold(rig, stop(price=97_50))
    rig.top(SYMBOL, 97_90, 97_92)
    (child,) = children(rig, one)
    assert (child.order_type, child.price, child.tif) == (OrderType.LIMIT, 97_50, TimeInForce.GTC)
    rig = start(50_000)
    one = hold(rig, stop(trigger=102_00, kind=ConditionalKind.TAKE_PROFIT))
    rig.top(SYMBOL, 101_99, 102_01)
    assert not held(rig, one).children
    rig.top(SYMBOL, 102_00, 102_02)
    assert children(rig, one)[0].order_type is OrderType.MARKET


def test_a_trailing_stop_only_ratchets() -> None:
    rig = start(50_000)
    one = hold(rig, stop(trigger=0, kind=ConditionalKind.TRAILING_STOP, trail_ticks=100))
    for bid, expected in ((100_00, 99_00), (100_50, 99_50), (100_20, 99_50), (101_00, 100_00), (100_01, 100_00)):
        rig.top(SYMBOL, bid, bid + 2)
        assert held(rig, one).trigger == expected
    rig.top(SYMBOL, 100_00, 100_02)
    assert held(rig, one).status is ConditionalStatus.TRIGGERED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"trigger": 0}, "CONDITIONAL_INVALID"),
        ({"trail_ticks": 5}, "CONDITIONAL_INVALID"),
        ({"tif": TimeInForce.IOC}, "CONDITIONAL_INVALID"),
        ({"trigger": 100_00}, "TRIGGER_ALREADY_REACHED"),
        ({"side": Side.BUY, "trigger": 102_00}, "REDUCE_ONLY_WOULD_INCREASE"),
        ({"tif": TimeInForce.GTD, "expires_at": 1}, "EXPIRY_NOT_AHEAD"),
        ({"lots": 0}, "QUANTITY_NOT_POSITIVE"),
        ({"symbol": "NONE"}, "INSTRUMENT_UNKNOWN"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(changes: dict[str, Any], reason: str) -> None:
    rig = start(50_000)
    assert hold(rig, stop(**changes)) is None
    assert reason in rig.last_denial()
    assert not rig.books.conditionals.all


def test_a_stale_feed_fires_nothing_and_the_first_live_price_beyond_does() -> None:
    rig = start(50_000)
    one = hold(rig, stop())
    rig.feed(SYMBOL, FeedState.STALE)
    rig.top(SYMBOL, 97_00, 97_02)
    assert held(rig, one).status is ConditionalStatus.ARMED
    rig.feed(SYMBOL, FeedState.LIVE)
    rig.top(SYMBOL, 97_10, 97_12)
    assert held(rig, one).seen == 97_10
    assert children(rig, one)


def test_a_new_session_that_opens_elsewhere_ends_it_and_one_that_goes_on_keeps_it() -> None:
    for opens, kept in ((99_50, True), (80_00, False)):
        rig = start(50_000)
        one, day = hold(rig, stop()), hold(rig, stop(tif=TimeInForce.DAY))
        rig.feed(SYMBOL, FeedState.BREAK)
        rig.feed(SYMBOL, FeedState.LIVE, session_id=2)
        rig.top(SYMBOL, opens - 1, opens + 1)
        assert held(rig, day).status is ConditionalStatus.EXPIRED
        assert held(rig, one).live is kept
        assert not held(rig, one).children
        if not kept:
            assert held(rig, one).detail == "a new session opened and the market jumped from 10000 to 8000 ticks"
            ended = [event for event in rig.journal if isinstance(event, e.ConditionalEnded)]
            assert [event.unprotected for event in ended] == [True, False], "a day order's end was asked for"
        rig.check_replay()


def test_halt_cancel_all_and_the_end_of_the_run_end_it() -> None:
    def halt(rig: Rig) -> None:
        rig.state(TradingState.HALTED, 2)

    def cancel(rig: Rig) -> None:
        rig.take(rig.kernel.cancel_all(rig.now, reason="button", by="operator"))

    def stop_run(rig: Rig) -> None:
        rig.take(rig.kernel.stop_run(rig.now, reason="done"))

    for way in (halt, cancel, stop_run):
        rig = start(50_000)
        one = hold(rig, stop())
        way(rig)
        assert held(rig, one).status is ConditionalStatus.CANCELED
        rig.top(SYMBOL, 90_00, 90_02)
        assert not held(rig, one).children
        rig.check_replay()


@pytest.mark.parametrize(
    ("scope", "ends"), [("instrument:BTCUSDT", True), ("instrument:ETHUSDT", False), ("firm", True)]
)
def test_a_halt_by_scope_ends_what_it_covers(scope: str, ends: bool) -> None:
    rig = start(50_000)
    one = hold(rig, stop())
    wanted = {"scope": scope, "halted": True, "reason": "looks wrong", "by": "ann", "version": 1}
    rig.take(rig.kernel.set_scopes(rig.now, [wanted]))
    assert held(rig, one).live is not ends


def test_an_operator_cancels_one_and_what_it_released_does_not_come_back() -> None:
    rig = start(100_000)
    one, other = hold(rig, stop()), hold(rig, stop(price=97_00, trigger=98_10))
    rig.top(SYMBOL, 98_05, 98_07)
    (child,) = children(rig, other)
    rig.accept(child.client_id)
    for client_id in (str(one), child.client_id):
        chosen = Selection(client_id=client_id)
        rig.take(rig.kernel.cancel_some(rig.now, selection=chosen, reason="looks wrong", by="ann"))
    assert {order.status for order in (held(rig, one), held(rig, other))} == {ConditionalStatus.CANCELED}
    rig.end(child.client_id)
    rig.wait(2).top(SYMBOL, 97_90, 97_92)
    assert len(held(rig, other).children) == 1
    assert not held(rig, one).children


def test_a_denial_at_the_trigger_is_recorded_and_a_passing_one_tried_again() -> None:
    rig = start(50_000, limits={**WIDE, "duplicate_window_ms": 2500})
    other = rig.order(SYMBOL, Side.SELL, 20_000)
    assert other is not None
    rig.accept(other)
    rig.fill(other, 20_000, 99_99)
    one = hold(rig, stop(lots=20_000))
    rig.top(SYMBOL, 98_00, 98_02)
    assert rig.last_denial() == {"DUPLICATE_ORDER"}
    assert held(rig, one).denials == 1
    assert held(rig, one).status is ConditionalStatus.TRIGGERED
    rig.wait(1).top(SYMBOL, 98_00, 98_02)
    rig.wait(2).top(SYMBOL, 98_00, 98_02)
    assert [child.lots for child in children(rig, one)] == [20_000]
    entry = hold(rig, stop(side=Side.BUY, trigger=99_00, reduce_only=False, lots=90_000_000))
    assert entry is None
    assert "QUANTITY_ABOVE_LIMIT" in rig.last_denial()
    rig.state(TradingState.REDUCING, 2)
    entry = hold(rig, stop(side=Side.BUY, trigger=99_00, reduce_only=False, lots=100_000))
    rig.top(SYMBOL, 98_99, 99_01)
    assert held(rig, entry).status is ConditionalStatus.DENIED
    assert held(rig, entry).detail == "denied: REDUCING_ONLY"
    rig.check_replay()


def test_an_oco_whose_limit_rests_cancels_it_first_and_sends_the_rest_only_when_it_is_gone() -> None:
    rig = start(50_000)
    limit = ConditionalRequest(
        symbol=SYMBOL, side=Side.SELL, lots=50_000, kind=ConditionalKind.LIMIT, price=102_00, reduce_only=True
    )
    first = hold(rig, Oco(first=limit, second=stop()))
    assert first is not None
    second = first[:-1] + "2"
    (resting,) = children(rig, first)
    rig.accept(resting.client_id)
    rig.fill(resting.client_id, 20_000, 102_00)
    rig.top(SYMBOL, 98_00, 98_02)
    assert held(rig, first).status is ConditionalStatus.CANCELED
    assert [cancel.client_id for cancel in rig.cancels] == [resting.client_id]
    assert not held(rig, second).children, "the venue has not confirmed the cancel"
    rig.fill(resting.client_id, 5_000, 102_00)
    rig.end(resting.client_id)
    (rest,) = children(rig, second)
    assert rest.lots == 25_000
    rig.check_replay()


def test_a_bracket_sizes_its_exits_by_what_has_really_filled() -> None:
    rig = start(0)
    entry = OrderRequest(symbol=SYMBOL, side=Side.BUY, lots=50_000, price=100_01, tif=TimeInForce.GTC)
    entry_id = hold(rig, Bracket(entry=entry, stop_loss=98_00, take_profit=103_00))
    assert entry_id is not None
    loss, profit = f"{entry_id}.sl", f"{entry_id}.tp"
    kinds = [type(event) for event in rig.journal[-3:]]
    assert kinds == [e.ConditionalAccepted, e.ConditionalAccepted, e.OrderIntended], "no entry without its exits"
    rig.accept(entry_id)
    assert not held(rig, profit).children
    rig.fill(entry_id, 30_000, 100_00, fee=30_000 * 1, fee_asset="BTC")
    (resting,) = children(rig, profit)
    assert resting.lots == 29_970, "the fee was taken in the asset: what is really held is sold"
    rig.accept(resting.client_id)
    rig.top(SYMBOL, 97_90, 97_92)
    assert {cancel.client_id for cancel in rig.cancels} == {resting.client_id, entry_id}
    rig.fill(entry_id, 5_000, 98_00)
    rig.end(resting.client_id)
    rig.end(entry_id)
    assert [child.lots for child in children(rig, loss)] == [34_970]
    for child in children(rig, loss):
        rig.accept(child.client_id)
        rig.fill(child.client_id, child.lots, 97_90)
    assert held(rig, loss).status is ConditionalStatus.FILLED
    assert rig.kernel.desk.position(SYMBOL) == 0
    rig.check_replay()


def test_a_bracket_whose_entry_is_refused_or_ends_unfilled_leaves_nothing() -> None:
    rig = start(0)
    entry = OrderRequest(symbol=SYMBOL, side=Side.BUY, lots=50_000, price=100_01, tif=TimeInForce.GTC)
    assert hold(rig, Bracket(entry=entry, stop_loss=101_00, take_profit=103_00)) is None
    assert rig.last_denial() == {"CONDITIONAL_INVALID"}
    far = OrderRequest(symbol=SYMBOL, side=Side.BUY, lots=50_000, price=150_00, tif=TimeInForce.GTC)
    assert hold(rig, Bracket(entry=far, stop_loss=98_00, take_profit=160_00)) is None
    assert "PRICE_OUTSIDE_COLLAR" in rig.last_denial()
    assert not rig.books.conditionals.all
    entry_id = hold(rig.wait(1), Bracket(entry=entry, stop_loss=98_00, take_profit=103_00))
    assert entry_id is not None
    rig.accept(entry_id)
    rig.end(entry_id, OrderStatus.EXPIRED)
    assert held(rig, f"{entry_id}.sl").detail == "its entry came to nothing"
    assert rig.books.conditionals.count() == 0


def test_a_day_order_and_a_dated_order_end_by_the_kernels_clock_with_a_cancel_at_the_venue() -> None:
    rig = start(50_000)
    until = rig.now + 10 * SECOND_NS
    dated = rig.order(SYMBOL, Side.SELL, 20_000, 100_50, tif=TimeInForce.GTD, expires_at=until)
    day = rig.order(SYMBOL, Side.SELL, 20_000, 100_60, tif=TimeInForce.DAY)
    assert dated is not None
    assert day is not None
    intent = next(send.intent for send in rig.sent if send.intent.client_id == dated)
    assert (intent.tif, intent.expires_at) == (TimeInForce.GTC, until)
    assert intent.emulated == "GTD by the kernel's clock, GTC at the venue"
    rig.accept(dated)
    rig.wait(9.9).take(rig.kernel.on_timer(rig.now))
    assert not rig.cancels
    rig.wait(0.2).take(rig.kernel.on_timer(rig.now))
    assert [cancel.client_id for cancel in rig.cancels] == [dated]
    rig.wait(86_400).take(rig.kernel.on_timer(rig.now))
    assert [cancel.client_id for cancel in rig.cancels] == [dated, day]
    assert rig.order(SYMBOL, Side.SELL, 20_000, 98_00, tif=TimeInForce.GTD, expires_at=rig.now) is None
    assert "EXPIRY_NOT_AHEAD" in rig.last_denial()


def test_reducing_orders_together_never_exceed_the_position() -> None:
    rig = start(50_000)
    far = [rig.order(SYMBOL, Side.SELL, 20_000, 101_00 + n, reduce_only=True) for n in range(2)]
    assert all(far)
    assert rig.order(SYMBOL, Side.SELL, 20_000, 101_50, reduce_only=True) is None
    assert "REDUCE_ONLY_WOULD_INCREASE" in rig.last_denial()
    for client_id in far:
        assert client_id is not None
        rig.accept(client_id)
    rig.report(e.BalanceAdopted(ts=rig.now, asset="BTC", total=36_000 * 1000))
    rig.fill(str(far[0]), 1_000, 101_00)
    assert [cancel.client_id for cancel in rig.cancels] == [far[1]]
    one = hold(rig, stop(lots=50_000))
    assert one is not None
    rig.end(str(far[1]))
    rig.top(SYMBOL, 98_00, 98_02)
    assert [child.lots for child in children(rig, one)] == [16_000], "what the other order does not already sell"


def test_what_stops_for_a_restart_is_held_again_and_a_bracket_cut_before_its_entry_is_let_go() -> None:
    rig = start(50_000)
    one = hold(rig, stop())
    until = rig.now + 10 * SECOND_NS
    dated = rig.order(SYMBOL, Side.BUY, 20_000, 99_00, tif=TimeInForce.GTD, expires_at=until)
    entry = OrderRequest(symbol=SYMBOL, side=Side.BUY, lots=50_000, price=100_01, tif=TimeInForce.GTC)
    entry_id = hold(rig, Bracket(entry=entry, stop_loss=98_00, take_profit=103_00))
    assert entry_id is not None
    cut = next(n for n, event in enumerate(rig.journal) if getattr(event, "client_id", "") == entry_id)
    again = Rig()
    again.now, again.journal = rig.now, rig.journal[:cut]
    again.kernel.recover(e.Record(seq=n, hash="", event=event) for n, event in enumerate(again.journal))  # type: ignore[arg-type]  # all are Journalled
    opened = again.kernel.open_session(
        again.now, epoch=2, venue="paper", worker="test", instruments=list(rig.instruments)
    )
    again.take(opened)
    assert held(again, one).live
    assert not again.cancels
    again.wait(20).take(again.kernel.on_timer(again.now))
    assert [cancel.client_id for cancel in again.cancels] == [dated], "it ended while nobody watched"
    assert held(again, f"{entry_id}.sl").detail == "its entry came to nothing"
    again.check_replay()


def test_a_replacement_leaves_when_the_old_order_is_over_and_keeps_the_chain() -> None:
    rig = start(0)
    entry = OrderRequest(
        symbol=SYMBOL, side=Side.BUY, lots=50_000, price=99_00, order_type=OrderType.LIMIT_MAKER, tif=TimeInForce.GTC
    )
    entry_id = hold(rig, Bracket(entry=entry, stop_loss=97_00))
    assert entry_id is not None
    rig.accept(entry_id)
    rig.fill(entry_id, 20_000, 99_00)
    rig.kernel.desk.now = rig.now
    new = rig.kernel.desk.replace(entry_id, price=99_50)
    assert rig.kernel.desk.replace(entry_id, price=99_60) is None
    rig.take(rig.kernel.on_timer(rig.now))
    assert rig.last_denial() == {"CONDITIONAL_INVALID"}
    assert [cancel.client_id for cancel in rig.cancels] == [entry_id]
    assert not held(rig, new).children
    rig.fill(entry_id, 1_000, 99_00)
    rig.end(entry_id)
    (child,) = children(rig, new)
    assert (child.lots, child.price, child.order_type) == (29_000, 99_50, OrderType.LIMIT_MAKER)
    assert (child.replaces, rig.books.orders[entry_id].replaced_by) == (entry_id, child.client_id)
    assert held(rig, new).status is ConditionalStatus.RELEASED
    rig.accept(child.client_id)
    rig.fill(child.client_id, 29_000, 99_50)
    rig.top(SYMBOL, 96_00, 96_02)
    assert [order.lots for order in children(rig, f"{entry_id}.sl")] == [50_000], "the exits follow the chain"
    rig.check_replay()


def test_a_replacement_of_an_order_that_fills_first_sends_nothing() -> None:
    rig = start(0)
    old = rig.order(SYMBOL, Side.BUY, 50_000, 99_00)
    assert old is not None
    rig.accept(old)
    rig.kernel.desk.now = rig.now
    new = rig.kernel.desk.replace(old, price=99_50, lots=60_000)
    rig.take(rig.kernel.on_timer(rig.now))
    rig.take(rig.kernel.cancel_all(rig.now, reason="button", by="operator"))
    rig.end(old)
    assert held(rig, new).status is ConditionalStatus.CANCELED
    again = rig.order(SYMBOL, Side.BUY, 50_000, 99_10)
    assert again is not None
    rig.accept(again)
    second = rig.kernel.desk.replace(again, price=99_50)
    rig.fill(again, 50_000, 99_10)
    assert held(rig, second).detail == "the order it was to replace was filled first"
    assert len(rig.sent) == 2


def test_a_post_only_order_is_repriced_when_that_is_wished() -> None:
    rig = start(50_000)
    kind = OrderType.LIMIT_MAKER
    bought = rig.order(SYMBOL, Side.BUY, 20_000, 100_05, order_type=kind, reprice=True)
    sold = rig.order(SYMBOL, Side.SELL, 20_000, 99_90, order_type=kind, reprice=True)
    assert bought is not None
    assert sold is not None
    assert (rig.books.orders[bought].price, rig.books.orders[sold].price) == (100_00, 100_00)
    assert rig.sent[-1].intent.emulated == "post-only repriced from 9990 ticks"


def test_what_a_venue_has_not_is_emulated_or_denied() -> None:
    bare = frozenset({Feature.MARKET, Feature.LIMIT, Feature.GTC})
    rig = Rig(features=bare).open(limits=WIDE)
    rig.top(SYMBOL, 99_99, 100_01)
    assert rig.order(SYMBOL, Side.BUY, 20_000, 100_01, tif=TimeInForce.IOC) is None
    assert rig.last_denial() == {"ORDER_TYPE_NOT_OFFERED"}
    rig.wait(1)
    assert rig.order(SYMBOL, Side.BUY, 20_000, 100_01, order_type=OrderType.LIMIT_MAKER) is None
    assert rig.last_denial() == {"POST_ONLY_WOULD_TAKE"}
    rig.wait(1)
    assert rig.order(SYMBOL, Side.BUY, 20_000, 100_00, order_type=OrderType.LIMIT_MAKER) is not None
    assert rig.sent[-1].intent.order_type is OrderType.LIMIT


def test_half_an_oco_that_a_crash_left_is_let_go() -> None:
    rig = start(50_000)
    limit = ConditionalRequest(
        symbol=SYMBOL, side=Side.SELL, lots=50_000, kind=ConditionalKind.LIMIT, price=102_00, reduce_only=True
    )
    first = hold(rig, Oco(first=limit, second=stop()))
    cut = next(n for n, event in enumerate(rig.journal) if isinstance(event, e.ConditionalAccepted)) + 1
    again = Rig()
    again.now, again.journal = rig.now, rig.journal[:cut]
    again.kernel.recover(e.Record(seq=n, hash="", event=event) for n, event in enumerate(again.journal))  # type: ignore[arg-type]  # all are Journalled
    opened = again.kernel.open_session(
        again.now, epoch=2, venue="paper", worker="test", instruments=list(rig.instruments)
    )
    again.take(opened)
    assert held(again, first).detail == "the process ended while it was being taken on"
    again.check_replay()
