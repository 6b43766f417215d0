"""Built-in strategies, sizing and plans."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.kernels import BTC, LIMITS, Rig, instrument, make_bar
from workers.engine import events as e
from workers.engine.config import SECOND_NS
from workers.engine.execution.plan import rest, take
from workers.engine.portfolio.plan import trade_to_target
from workers.engine.portfolio.sizing import YEAR_NS, Signal, lots_for_weight, shrink, signal_of, target_weight
from workers.engine.strategy import Params, Strategy, StrategyError, build, names, overrides, register
from workers.engine.vocabulary import FeedState, OrderType, Side, TimeInForce, TradingState

LEVELS = (0.1, 0.5, 0.9)


def forecast(
    as_of: int,
    mu: float = 0.002,
    spread: float = 0.001,
    confidence: float = 0.9,
    symbol: str = "BTCUSDT",
    **fields: Any,
) -> e.Forecast:
    steps = 8
    path = [mu * (step + 1) / steps for step in range(steps)]
    return e.Forecast(
        **{
            "forecast_id": f"f{as_of}",
            "symbol": symbol,
            "model_digest": "m1",
            "as_of": as_of,
            "made_at": as_of,
            "interval_ns": SECOND_NS,
            "levels": LEVELS,
            "quantiles": tuple(tuple(x + shift for x in path) for shift in (-spread, 0.0, spread)),
            "confidence": confidence,
            **fields,
        }
    )


# -- signal and size


def test_the_signal_is_the_median_and_the_spread_at_the_end() -> None:
    signal = signal_of(forecast(0, mu=0.01, spread=0.0128155))
    assert signal.mu == pytest.approx(0.01)
    assert signal.sigma == pytest.approx(0.01, rel=1e-4)
    assert signal.horizon_ns == 8 * SECOND_NS


@pytest.mark.parametrize(
    "fields",
    [
        {"levels": (0.5,), "quantiles": ((0.1,),)},
        {"levels": (0.9, 0.1), "quantiles": ((0.1,), (0.2,))},
        {"levels": (0.1, 0.9), "quantiles": ((0.1,),)},
        {"levels": (0.1, 0.9), "quantiles": ((0.1,), (math.nan,))},
        {"confidence": math.inf},
    ],
)
def test_a_forecast_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        signal_of(forecast(0, **fields))


def test_weights_follow_the_volatility_target() -> None:
    horizon = YEAR_NS // 100
    signal = Signal(mu=0.5, sigma=0.05, confidence=1.0, horizon_ns=horizon)
    common: dict[str, float] = {"kelly_fraction": 0.5, "min_confidence": 0.5, "cap": 1.0}
    assert target_weight(signal, target_volatility=0.2, **common) == pytest.approx(0.4)
    assert target_weight(signal._replace(sigma=0.1), target_volatility=0.2, **common) == pytest.approx(0.2)
    assert target_weight(signal, target_volatility=0.2, **{**common, "cap": 0.1}) == 0.1
    # Kelly: half of mu / sigma**2, when the edge is small.
    assert target_weight(signal._replace(mu=0.001), target_volatility=0.2, **common) == pytest.approx(0.2)


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 5))
def test_weights_are_never_short_above_the_cap_or_unconfident(
    mu: float, sigma: float, confidence: float, minimum: float, cap: float, volatility: float
) -> None:
    weight = target_weight(
        Signal(mu, sigma, confidence, SECOND_NS),
        target_volatility=volatility,
        kelly_fraction=0.5,
        min_confidence=minimum,
        cap=cap,
    )
    assert 0.0 <= weight <= cap
    if confidence < minimum or mu <= 0 or sigma < 1e-9:
        assert weight == 0.0
    assert 0.0 <= shrink(confidence, minimum) <= 1.0


@given(st.floats(0, 1), st.integers(0, 10**24), st.integers(1, 10**7))
def test_lots_never_cost_more_than_the_weight(weight: float, equity: int, price: int) -> None:
    lots = lots_for_weight(weight, equity=equity, price=price, lot_value=BTC.lot_value)
    numerator, denominator = weight.as_integer_ratio()
    assert lots * price * BTC.lot_value * denominator <= equity * numerator
    assert (lots + 1) * price * BTC.lot_value * denominator > equity * numerator or weight == 0 or equity == 0


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1))
def test_planned_trades_go_towards_the_target_and_not_past_it(current: int, target: int, band: float) -> None:
    lots = trade_to_target(current, target, price=100_00, instrument=BTC, band=band, max_lots=50_000)
    assert abs(lots) <= 50_000
    assert min(current, target) <= current + lots <= max(current, target)
    if lots:
        assert abs(lots) * 100_00 * BTC.lot_value >= BTC.min_notional_money


def test_bands_and_the_venues_smallest_notional() -> None:
    plan = {"price": 100_00, "instrument": BTC, "band": 0.2}
    assert trade_to_target(100_000, 119_999, **plan) == 0  # type: ignore[arg-type]  # one dict for four calls
    assert trade_to_target(100_000, 130_000, **plan) == 30_000  # type: ignore[arg-type]  # as above
    assert trade_to_target(10_000, 0, **plan) == -10_000  # type: ignore[arg-type]  # as above
    assert trade_to_target(9_999, 0, **plan) == 0  # type: ignore[arg-type]  # as above


def test_placements() -> None:
    assert take(Side.BUY, bid=99, ask=101, offset_ticks=2) == (OrderType.LIMIT, TimeInForce.IOC, 103)
    assert take(Side.SELL, bid=99, ask=101, offset_ticks=2).price == 97
    assert take(Side.SELL, bid=1, ask=2, offset_ticks=5).price == 1
    assert rest(Side.BUY, bid=99, ask=101) == (OrderType.LIMIT, TimeInForce.GTC, 100)
    assert rest(Side.SELL, bid=99, ask=100).price == 100


# -- registry


def test_the_registry() -> None:
    assert {"ema_cross", "forecast_portfolio"} <= set(names())
    with pytest.raises(StrategyError, match="already registered"):
        register("ema_cross", Params)(Strategy)
    cross = build("ema_cross", {})
    assert overrides(cross, "on_bar")
    assert not overrides(cross, "on_top")
    assert cross.lookback == 0
    assert build("forecast_portfolio", {"input_size": 32}).lookback == 32


# -- EMA cross


def cross_rig() -> Rig:
    rig = Rig([BTC])
    plan = rig.plan("ema_cross", params={"fast": 2, "slow": 4, "fraction": 0.0009})
    return rig.open(plan=plan)


def test_ema_cross_buys_the_rise_and_sells_the_fall() -> None:
    rig = cross_rig()
    for close in (100_00, 100_10, 100_20, 100_30):
        rig.wait(1).bar("BTCUSDT", close)
    assert [x.intent.side for x in rig.sent] == [Side.BUY]
    bought = rig.sent[0].intent
    assert bought.lots * 100_30 * BTC.lot_value <= 90 * 10**16
    rig.wait(1).bar("BTCUSDT", 100_40)
    assert len(rig.sent) == 1
    rig.fill(bought.client_id, bought.lots, 100_40)
    for close in (99_00, 98_00):
        rig.wait(1).bar("BTCUSDT", close)
    assert [x.intent.side for x in rig.sent] == [Side.BUY, Side.SELL]
    assert rig.sent[1].intent.lots == bought.lots
    rig.check_replay()


def test_ema_cross_is_warmed_without_ordering() -> None:
    rig = cross_rig()
    for number, close in enumerate((100_00, 100_10, 100_20, 100_30)):
        rig.kernel.warm_bar(make_bar("BTCUSDT", close, rig.now + number * SECOND_NS))
    assert rig.take(rig.kernel.on_timer(rig.now)) == ()
    rig.wait(4).bar("BTCUSDT", 100_40)
    assert len(rig.sent) == 1


def test_bars_of_another_interval_are_not_the_strategys() -> None:
    rig = cross_rig()
    for number in range(6):
        rig.wait(1)
        rig.take(rig.kernel.on_bar(make_bar("BTCUSDT", 100_00 + number, rig.now, 60 * SECOND_NS), rig.now))
    assert rig.sent == []


# -- forecast portfolio


def portfolio_rig(limits: dict[str, Any] | None = None, **params: Any) -> Rig:
    rig = Rig([BTC])
    settings = {"input_size": 4, "target_volatility": 50.0, "max_weight": 0.5, "min_hold_s": 0.0, **params}
    plan = rig.plan("forecast_portfolio", params=settings, model_digest="m1")
    rig.open(plan=plan, limits={**LIMITS, **(limits or {})})
    rig.wait(1).top("BTCUSDT", 99_99, 100_01)
    return rig


def hear(rig: Rig, made: e.Forecast) -> None:
    rig.take(rig.kernel.on_forecast(made, rig.now))


def test_without_a_forecast_it_holds() -> None:
    rig = portfolio_rig()
    for _ in range(5):
        rig.wait(1).top("BTCUSDT", 99_99, 100_01)
    assert rig.sent == []


def test_a_confident_rise_is_bought_just_through_the_touch() -> None:
    rig = portfolio_rig()
    made = forecast(rig.now)
    hear(rig, made)
    intent = rig.sent[0].intent
    assert (intent.side, intent.order_type, intent.tif, intent.price) == (
        Side.BUY,
        OrderType.LIMIT,
        TimeInForce.IOC,
        100_02,
    )
    assert intent.forecast_id == made.forecast_id
    assert intent.model_digest == "m1"
    assert intent.decision["why"] == "forecast"
    assert intent.decision["risk"]["limits_version"] == 1
    assert intent.lots == 100_000, "capped by the largest order"


def test_a_fall_or_doubt_is_sold_and_a_stale_forecast_holds() -> None:
    rig = portfolio_rig()
    hear(rig, forecast(rig.now))
    bought = rig.sent[0].intent
    rig.fill(bought.client_id, bought.lots, 100_01)
    rig.wait(60).top("BTCUSDT", 99_99, 100_01)
    assert len(rig.sent) == 1
    rig.take(rig.kernel.confirm_limits(rig.now, version=1))
    hear(rig, forecast(rig.now, mu=-0.001))
    sold = rig.sent[1].intent
    assert (sold.side, sold.lots, sold.price, sold.reduce_only) == (Side.SELL, bought.lots, 99_98, True)
    rig.check_replay()


def test_forecasts_of_another_model_or_older_ones_are_dropped() -> None:
    rig = portfolio_rig()
    hear(rig, forecast(rig.now, model_digest="m2"))
    hear(rig, forecast(rig.now, symbol="XRPUSDT"))
    assert rig.kernel.desk.market("BTCUSDT").forecast is None
    hear(rig, forecast(rig.now, mu=-0.1))
    hear(rig, forecast(rig.now - SECOND_NS, mu=0.1))
    assert rig.sent == []


@pytest.mark.parametrize(
    "params", [{"min_confidence": 0.95}, {"min_edge_bps": 21.0}, {"kelly_fraction": 0.0}, {"max_weight": 0.00009}]
)
def test_doubt_or_too_small_an_edge_buys_nothing(params: dict[str, Any]) -> None:
    rig = portfolio_rig(**params)
    hear(rig, forecast(rig.now))
    assert rig.sent == []


def test_a_position_is_held_in_doubt_and_for_a_while() -> None:
    rig = portfolio_rig(min_hold_s=30.0, exit_confidence=0.7)
    hear(rig, forecast(rig.now))
    rig.fill(rig.sent[0].intent.client_id, 100_000, 100_01)
    rig.wait(10)
    hear(rig, forecast(rig.now, mu=-0.01))
    assert len(rig.sent) == 1, "too early"
    rig.wait(20)
    hear(rig, forecast(rig.now, mu=-0.01, confidence=0.6))
    assert len(rig.sent) == 1, "in doubt"
    rig.wait(1).top("BTCUSDT", 99_99, 100_01)
    hear(rig, forecast(rig.now, mu=-0.01))
    assert [x.intent.side for x in rig.sent] == [Side.BUY, Side.SELL]


def test_orders_are_cut_to_what_the_limits_let_pass() -> None:
    """Each order passes the gate, and together they reach the target."""
    limits = {"max_order_notional": "33", "max_gross_notional": "80", "max_order_qty": {}}
    rig = portfolio_rig(limits, band=0.0)
    for _ in range(6):
        hear(rig, forecast(rig.now))
        if len(rig.sent) > rig.books.fills:
            intent = rig.sent[-1].intent
            rig.fill(intent.client_id, intent.lots, intent.price)
        rig.wait(3).top("BTCUSDT", 99_99, 100_01)
    assert not any(isinstance(event, e.OrderDenied) for event in rig.journal)
    assert len(rig.sent) == 3
    worth = rig.books.lines["BTCUSDT"].position * 100_02 * BTC.value_factor
    assert 79 * 10**16 < worth <= 80 * 10**16


def test_a_forecast_that_makes_no_sense_is_dropped_and_counted() -> None:
    rig = portfolio_rig()
    hear(rig, forecast(rig.now, confidence=math.nan))
    assert rig.sent == []
    assert rig.kernel.forecasts_refused == 1
    assert "finite" in rig.kernel.forecast_refusal


def test_it_looks_at_most_once_per_interval() -> None:
    rig = portfolio_rig(limits={"max_order_qty": {"BTCUSDT": "0.2"}}, min_order_interval_s=2.0)
    hear(rig, forecast(rig.now))
    rig.fill(rig.sent[0].intent.client_id, 20_000, 100_01)
    rig.wait(1).top("BTCUSDT", 99_98, 100_01)
    assert len(rig.sent) == 1
    hear(rig, forecast(rig.now))
    assert len(rig.sent) == 1
    rig.wait(2)
    rig.take(rig.kernel.on_timer(rig.now))
    assert len(rig.sent) == 2


def test_everything_is_sold_before_the_session_closes() -> None:
    rig = portfolio_rig(flatten_before_s=20.0)
    hear(rig, forecast(rig.now))
    bought = rig.sent[0].intent
    rig.fill(bought.client_id, bought.lots, 100_01)
    rig.feed("BTCUSDT", FeedState.LIVE, closes_at=rig.now + 30 * SECOND_NS)
    rig.wait(9).top("BTCUSDT", 99_99, 100_01)
    assert len(rig.sent) == 1
    rig.wait(2).top("BTCUSDT", 99_98, 100_00)
    sold = rig.sent[1].intent
    assert (sold.side, sold.lots, sold.decision["why"]) == (Side.SELL, bought.lots, "session closes")
    rig.fill(sold.client_id, sold.lots, 99_98)
    hear(rig, forecast(rig.now))
    rig.wait(3).top("BTCUSDT", 99_99, 100_01)
    assert len(rig.sent) == 2, "nothing is bought so near the end"


def test_a_resting_order_is_taken_off_when_it_is_old() -> None:
    rig = portfolio_rig(style="rest", reprice_after_s=5.0)
    hear(rig, forecast(rig.now))
    intent = rig.sent[0].intent
    assert (intent.tif, intent.price) == (TimeInForce.GTC, 100_00)
    rig.accept(intent.client_id)
    rig.wait(4).top("BTCUSDT", 100_99, 101_01)
    assert rig.cancels == []
    rig.wait(1).top("BTCUSDT", 100_98, 101_01)
    assert [x.client_id for x in rig.cancels] == [intent.client_id]
    rig.end(intent.client_id)
    hear(rig, forecast(rig.now))
    assert rig.sent[1].intent.price == 100_99


def test_dust_below_a_lot_is_left_alone() -> None:
    item = instrument("BTCUSDT", "BTC", lot="0.001")
    rig = Rig([item])
    rig.open(plan=rig.plan("forecast_portfolio", params={"input_size": 4}, model_digest="m1"))
    rig.report(e.BalanceAdopted(ts=rig.now, asset="BTC", total=99_999))
    rig.top("BTCUSDT", 99_99, 100_01)
    assert rig.kernel.desk.position("BTCUSDT") == 0
    hear(rig, forecast(rig.now, mu=-0.1))
    assert rig.sent == []


def test_a_halted_desk_is_not_asked_to_trade_and_says_so_once() -> None:
    rig = portfolio_rig()
    rig.state(TradingState.HALTED, 2)
    hear(rig, forecast(rig.now))
    assert rig.sent == []
    assert rig.last_denial() == {"TRADING_HALTED"}


# -- asking for forecasts


def two_rig(input_size: int = 3) -> Rig:
    rig = Rig(forecast_grace_ns=SECOND_NS // 2)
    return rig.open(plan=rig.plan("forecast_portfolio", params={"input_size": input_size}, model_digest="m1"))


def test_forecasts_are_asked_for_once_all_bars_closed() -> None:
    rig = two_rig()
    for number in range(3):
        rig.wait(1).bar("BTCUSDT", 100_00 + number)
        assert len(rig.requests) == max(number - 2, 0)
        rig.bar("ETHUSDT", 10_00 + number)
    (request,) = rig.requests
    assert request.as_of == rig.now
    assert (request.model_digest, request.interval_ns) == ("m1", SECOND_NS)
    assert request.closes["BTCUSDT"] == pytest.approx((100.0, 100.01, 100.02))
    assert set(request.closes) == {"BTCUSDT", "ETHUSDT"}


def test_a_missing_bar_is_not_waited_for_forever() -> None:
    rig = two_rig(input_size=1)
    rig.wait(1).bar("BTCUSDT", 100_00)
    assert rig.requests == []
    rig.take(rig.wait(0.4).kernel.on_timer(rig.now))
    assert rig.requests == []
    rig.take(rig.wait(0.1).kernel.on_timer(rig.now))
    assert [set(x.closes) for x in rig.requests] == [{"BTCUSDT"}]
    rig.bar("ETHUSDT", 10_00, rig.now - SECOND_NS // 2)
    assert len(rig.requests) == 1


def test_long_days_do_not_slow_the_histories() -> None:
    rig = two_rig(input_size=2)
    for _ in range(5000):
        rig.wait(1).bar("BTCUSDT", 100_00)
    assert len(rig.kernel.desk.market("BTCUSDT").closes) == 4096
