"""The gate, reason by reason: each is given when it should be, and not one step before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kernels import BTC, LIMITS, Rig, instrument
from workers.engine import events as e
from workers.engine.config import SECOND_NS
from workers.engine.risk.gate import OrderRequest, check
from workers.engine.vocabulary import FeedState, OrderType, Reason, Side, TimeInForce, TradingState

BUY, SELL = Side.BUY, Side.SELL
ONE = 100_000
"""Lots in one BTC, at 100 USDT."""


def rig_with(**changes: Any) -> Rig:
    rig = Rig().open(limits={**LIMITS, **changes})
    rig.top("BTCUSDT", 99_99, 100_01)
    rig.top("ETHUSDT", 9_99, 10_01)
    return rig


@pytest.fixture
def rig() -> Rig:
    return rig_with()


def reasons(rig: Rig, side: Side = BUY, lots: int = ONE, price: int = 100_00, **fields: Any) -> set[Reason]:
    kind = OrderType.LIMIT if price else OrderType.MARKET
    request = OrderRequest(
        symbol=fields.pop("symbol", "BTCUSDT"),
        side=side,
        lots=lots,
        price=price,
        **{"order_type": kind, "tif": TimeInForce.GTC, **fields},
    )
    verdict = check(request, fields.get("client_id", "new"), rig.kernel.desk.risk, rig.now)
    assert len(set(verdict.reasons)) == len(verdict.reasons)
    return set(verdict.reasons)


def hold(rig: Rig, lots: int, symbol: str = "BTCUSDT", price: int = 100_00) -> None:
    while lots > 0:
        size = min(lots, ONE)
        client_id = rig.order(symbol, BUY, size, price)
        assert client_id is not None, rig.last_denial()
        rig.fill(client_id, size, price)
        lots -= size


def test_a_sound_order_passes(rig: Rig) -> None:
    assert reasons(rig) == set()
    assert reasons(rig, price=0) == set()


def test_halted_refuses_everything_and_reducing_what_adds(rig: Rig) -> None:
    hold(rig, ONE)
    rig.state(TradingState.REDUCING, 2)
    assert reasons(rig) == {Reason.REDUCING_ONLY}
    assert reasons(rig, SELL) == set()
    assert reasons(rig, SELL, ONE + 1) == {Reason.REDUCING_ONLY, Reason.SHORT_NOT_ALLOWED, Reason.QUANTITY_ABOVE_LIMIT}
    rig.state(TradingState.HALTED, 3)
    assert reasons(rig) == {Reason.TRADING_HALTED}
    assert reasons(rig, SELL) == {Reason.TRADING_HALTED}


def test_not_reconciled(rig: Rig) -> None:
    rig.reconcile(ok=False)
    assert reasons(rig) == {Reason.NOT_RECONCILED}
    rig.reconcile()
    assert reasons(rig) == set()


def test_limits_missing(rig: Rig) -> None:
    rig.kernel.desk.risk.limits = None
    assert reasons(rig) == {Reason.LIMITS_MISSING}


def test_limits_grow_stale_without_confirmation(rig: Rig) -> None:
    rig.wait(60).kernel.confirm("BTCUSDT", rig.now)
    assert reasons(rig) == set()
    rig.now += 1
    assert reasons(rig) == {Reason.LIMITS_STALE}
    rig.take(rig.kernel.confirm_limits(rig.now, version=2))
    assert reasons(rig) == {Reason.LIMITS_STALE}
    rig.take(rig.kernel.confirm_limits(rig.now, version=1))
    assert reasons(rig) == set()


def test_instrument_unknown_restricted_closed(rig: Rig) -> None:
    assert reasons(rig, symbol="XRPUSDT") == {Reason.INSTRUMENT_UNKNOWN}
    assert reasons(rig_with(restricted=["BTCUSDT"])) == {Reason.INSTRUMENT_RESTRICTED}
    rig.feed("BTCUSDT", FeedState.LIVE, closes_at=rig.now + 1)
    assert reasons(rig) == set()
    rig.now += 1
    assert reasons(rig) == {Reason.SESSION_CLOSED}
    rig.feed("BTCUSDT", FeedState.BREAK)
    assert reasons(rig) == {Reason.SESSION_CLOSED, Reason.REFERENCE_STALE}


def test_quantity(rig: Rig) -> None:
    assert reasons(rig, lots=0) == {Reason.QUANTITY_NOT_POSITIVE, Reason.NOTIONAL_BELOW_MIN}
    assert Reason.QUANTITY_NOT_POSITIVE in reasons(rig, lots=-5)
    assert reasons(rig, lots=ONE) == set()
    assert reasons(rig, lots=ONE + 1) == {Reason.QUANTITY_ABOVE_LIMIT}
    small = Rig([instrument("BTCUSDT", "BTC", min_lots=20_000, max_lots=50_000)]).open()
    small.top("BTCUSDT", 100_00, 100_00)
    assert reasons(small, lots=20_000) == set()
    assert reasons(small, lots=19_999) == {Reason.QUANTITY_BELOW_MIN}
    assert reasons(small, lots=50_001) == {Reason.QUANTITY_ABOVE_VENUE_MAX}


def test_price(rig: Rig) -> None:
    limit: dict[str, Any] = {"order_type": OrderType.LIMIT}
    assert reasons(rig, price=0, **limit) == {Reason.PRICE_MISSING, Reason.NOTIONAL_BELOW_MIN}
    assert reasons(rig, price=-1) == {Reason.PRICE_NOT_POSITIVE, Reason.NOTIONAL_BELOW_MIN}
    assert reasons(rig, price=101_00) == set()
    assert reasons(rig, price=101_01) == {Reason.PRICE_OUTSIDE_COLLAR}
    assert reasons(rig, price=99_00) == set()
    assert reasons(rig, price=98_99) == {Reason.PRICE_OUTSIDE_COLLAR}


def test_notional(rig: Rig) -> None:
    assert reasons(rig, lots=10_000) == set()
    assert reasons(rig, lots=9_999) == {Reason.NOTIONAL_BELOW_MIN}
    tight = rig_with(max_order_notional="100")
    assert reasons(tight) == set()
    assert reasons(tight, price=100_01) == {Reason.NOTIONAL_ABOVE_LIMIT}
    # A market buy is judged by what it may cost at worst.
    assert reasons(tight, price=0) == {Reason.NOTIONAL_ABOVE_LIMIT}


def test_a_sell_below_the_market_is_worth_the_market() -> None:
    rig = rig_with()
    hold(rig, ONE)
    rig.limits({**LIMITS, "max_order_notional": "99.99"}, version=2)
    assert reasons(rig, SELL, price=99_50) == {Reason.NOTIONAL_ABOVE_LIMIT}


def test_reference(rig: Rig) -> None:
    rig.wait(5)
    assert reasons(rig) == set()
    rig.now += 1
    assert reasons(rig) == {Reason.REFERENCE_STALE}
    rig.kernel.confirm("BTCUSDT", rig.now)
    assert reasons(rig) == set()
    fresh = Rig().open()
    assert Reason.REFERENCE_MISSING in reasons(fresh)


def test_a_position_without_a_mark_anywhere_refuses_entries(rig: Rig) -> None:
    fresh = Rig().open()
    fresh.report(e.BalanceAdopted(ts=fresh.now, asset="ETH", total=10**8))
    fresh.top("BTCUSDT", 99_99, 100_01)
    assert reasons(fresh) == {Reason.REFERENCE_MISSING}
    fresh.top("ETHUSDT", 9_99, 10_01)
    assert reasons(fresh) == set()


def test_position_counts_open_orders_at_their_worst(rig: Rig) -> None:
    hold(rig, ONE)
    assert rig.order("BTCUSDT", BUY, ONE // 2, 100_00)
    assert reasons(rig, lots=ONE // 2) == set()
    assert reasons(rig, lots=ONE // 2 + 1) == {Reason.POSITION_ABOVE_LIMIT}
    # An open sell may not fill, so it makes no room.
    assert rig.order("BTCUSDT", SELL, ONE, 100_50)
    assert reasons(rig, lots=ONE // 2 + 1) == {Reason.POSITION_ABOVE_LIMIT}


def test_a_position_above_a_lowered_limit_can_be_reduced() -> None:
    rig = rig_with()
    hold(rig, 2 * ONE)
    rig.limits({**LIMITS, "max_position": {"BTCUSDT": "0.5"}, "max_gross_notional": "50"}, version=2)
    assert reasons(rig, SELL) == set()
    assert reasons(rig) == {Reason.POSITION_ABOVE_LIMIT, Reason.GROSS_EXPOSURE_ABOVE_LIMIT}


def test_gross_exposure_is_over_all_instruments() -> None:
    rig = rig_with(max_gross_notional="150")
    client_id = rig.order("ETHUSDT", BUY, 50_000, 10_00)
    assert client_id
    assert reasons(rig) == set()
    assert reasons(rig, lots=ONE, symbol="ETHUSDT", price=10_00) == set()
    assert reasons(rig, lots=ONE + 10, symbol="ETHUSDT", price=10_00) == {Reason.GROSS_EXPOSURE_ABOVE_LIMIT}


def test_open_orders(rig: Rig) -> None:
    for _ in range(5):
        assert rig.order("BTCUSDT", BUY, 10_000, 100_00)
    assert reasons(rig, lots=10_000) == {Reason.OPEN_ORDERS_ABOVE_LIMIT}
    rig.end(rig.sent[0].intent.client_id)
    assert reasons(rig, lots=10_000) == set()


def test_no_short_on_spot_and_no_selling_twice(rig: Rig) -> None:
    assert reasons(rig, SELL) == {Reason.SHORT_NOT_ALLOWED}
    hold(rig, ONE)
    assert rig.order("BTCUSDT", SELL, ONE // 2, 100_50)
    assert reasons(rig, SELL, ONE // 2) == set()
    assert reasons(rig, SELL, ONE // 2 + 1) == {Reason.SHORT_NOT_ALLOWED}


def test_buying_power_is_cash_less_open_buys_and_fees() -> None:
    rig = Rig().open(cash="200.20")
    rig.top("BTCUSDT", 99_99, 100_01)
    assert rig.order("BTCUSDT", BUY, ONE, 100_00)
    assert reasons(rig) == set()
    assert reasons(rig, price=100_01) == {Reason.BUYING_POWER_EXCEEDED}
    assert reasons(rig, price=0) == {Reason.BUYING_POWER_EXCEEDED}


def test_reduce_only(rig: Rig) -> None:
    assert reasons(rig, reduce_only=True) == {Reason.REDUCE_ONLY_WOULD_INCREASE}
    hold(rig, ONE)
    assert reasons(rig, SELL, reduce_only=True) == set()


def test_the_same_client_id(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", BUY, 10_000, 100_00)
    assert client_id
    request = OrderRequest(symbol="BTCUSDT", side=BUY, lots=10_000, price=100_00)
    assert check(request, client_id, rig.kernel.desk.risk, rig.now).reasons == (Reason.DUPLICATE_CLIENT_ID,)


def test_the_same_order_again_within_the_window() -> None:
    rig = rig_with(duplicate_window_ms=1000)
    assert rig.order("BTCUSDT", BUY, 10_000, 100_00)
    assert reasons(rig, lots=10_000) == {Reason.DUPLICATE_ORDER}
    assert reasons(rig, lots=10_001) == set()
    rig.now += SECOND_NS - 1
    assert reasons(rig, lots=10_000) == {Reason.DUPLICATE_ORDER}
    rig.now += 1
    assert reasons(rig, lots=10_000) == set()


def test_the_duplicate_window_forgets() -> None:
    rig = rig_with(duplicate_window_ms=1000)
    for lots in range(10_000, 10_004):
        client_id = rig.wait(0.6).order("BTCUSDT", BUY, lots, 100_00)
        assert client_id
        rig.end(client_id)
    assert len(rig.kernel.desk.risk.recent) == 2


def test_message_rate_is_a_bucket() -> None:
    rig = rig_with(max_orders_per_second=2, burst=3, max_open_orders=100)
    for number in range(3):
        assert rig.order("BTCUSDT", BUY, 10_000 + number, 100_00)
    assert reasons(rig) == {Reason.MESSAGE_RATE_EXCEEDED}
    rig.wait(0.5)
    assert rig.order("BTCUSDT", BUY, 10_003, 100_00)
    assert reasons(rig) == {Reason.MESSAGE_RATE_EXCEEDED}
    rig.wait(4).kernel.confirm("BTCUSDT", rig.now)
    for number in range(3):
        assert rig.order("BTCUSDT", BUY, 10_010 + number, 100_00)
    assert reasons(rig) == {Reason.MESSAGE_RATE_EXCEEDED}


def test_the_least_time_between_orders_of_an_instrument() -> None:
    rig = rig_with(min_order_interval_ms=200)
    assert rig.order("BTCUSDT", BUY, 10_000, 100_00)
    assert reasons(rig) == {Reason.MESSAGE_RATE_EXCEEDED}
    assert reasons(rig, symbol="ETHUSDT", price=10_00) == set()
    assert reasons(rig.wait(0.2)) == set()


def test_loss_and_drawdown_refuse_entries_and_not_exits() -> None:
    rig = rig_with()
    hold(rig, ONE)
    rig.limits({**LIMITS, "max_daily_loss": "1", "max_drawdown": "1"}, version=2)
    rig.top("BTCUSDT", 99_01, 99_01)
    assert reasons(rig, price=99_01) == set()
    rig.top("BTCUSDT", 99_00, 99_00)
    assert rig.books.state is TradingState.HALTED
    both = {Reason.DAILY_LOSS_EXCEEDED, Reason.DRAWDOWN_EXCEEDED}
    assert reasons(rig, price=99_00) == {Reason.TRADING_HALTED, *both}
    rig.state(TradingState.ACTIVE, 2)
    assert reasons(rig, price=99_00) == both
    assert reasons(rig, SELL, price=99_00) == set()


def forecast(as_of: int) -> e.Forecast:
    return e.Forecast(
        forecast_id="f",
        symbol="BTCUSDT",
        model_digest="m",
        as_of=as_of,
        made_at=as_of,
        interval_ns=SECOND_NS,
        levels=(0.1, 0.9),
        quantiles=((0.0,), (0.1,)),
        confidence=0.9,
    )


def test_an_old_forecast_is_no_reason_to_enter(rig: Rig) -> None:
    hold(rig, ONE)
    made = forecast(rig.now)
    rig.wait(2)
    assert reasons(rig, forecast=made) == set()
    rig.now += 1
    assert reasons(rig, forecast=made) == {Reason.FORECAST_STALE}
    assert reasons(rig, SELL, forecast=made) == set()


def test_an_order_of_unknown_fate_stops_its_instrument(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", BUY, 10_000, 100_00)
    assert client_id
    rig.report(e.OrderSent(ts=rig.now, client_id=client_id, stages={}))
    rig.report(e.OrderUnknown(ts=rig.now, client_id=client_id, detail="timeout"))
    assert reasons(rig) == {Reason.ORDER_UNKNOWN_PENDING}
    assert reasons(rig, symbol="ETHUSDT", price=10_00) == set()


def test_inputs_are_whole_numbers_that_json_can_carry(rig: Rig) -> None:
    request = OrderRequest(symbol="BTCUSDT", side=BUY, lots=ONE, price=100_00)
    verdict = check(request, "new", rig.kernel.desk.risk, rig.now)
    assert all(type(value) is int for value in verdict.inputs.values())
    assert verdict.inputs["notional"] == ONE * 100_00 * BTC.lot_value
