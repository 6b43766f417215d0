"""The optional limits, reason by reason: each is given when it should be, and not one step before."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.kernels import BTC, LIMITS, START, Rig, make_bar
from workers.engine import events as e
from workers.engine.config import DAY_NS, SECOND_NS
from workers.engine.risk.gate import OrderRequest, check
from workers.engine.risk.limits import LimitsError, parse_limits
from workers.engine.risk.var_snapshot import VarSnapshot, VarSnapshotError, from_closes
from workers.engine.vocabulary import OrderType, Reason, Side, TimeInForce

BUY, SELL = Side.BUY, Side.SELL
ONE = 100_000
"""Lots in one BTC, at 100 USDT."""


def rig_with(**changes: Any) -> Rig:
    """100,000 USDT, quotes of 99.99 and 100.01, and 9.99 and 10.01; strategy test_hand is on."""
    rig = Rig().open(limits={**LIMITS, **changes})
    rig.top("BTCUSDT", 99_99, 100_01)
    rig.top("ETHUSDT", 9_99, 10_01)
    return rig


def reasons(rig: Rig, side: Side = BUY, lots: int = ONE, price: int = 100_00, **fields: Any) -> set[Reason]:
    request = OrderRequest(
        symbol=fields.pop("symbol", "BTCUSDT"),
        side=side,
        lots=lots,
        price=price,
        order_type=OrderType.LIMIT if price else OrderType.MARKET,
        tif=TimeInForce.GTC,
        **fields,
    )
    verdict = check(request, "new", rig.kernel.desk.risk, rig.now)
    assert len(set(verdict.reasons)) == len(verdict.reasons)
    return set(verdict.reasons)


def bought(rig: Rig, lots: int = ONE, price: int = 100_00, **fields: Any) -> str:
    client_id = rig.order(fields.pop("symbol", "BTCUSDT"), BUY, lots, price, **fields)
    assert client_id is not None, rig.last_denial()
    rig.fill(client_id, lots, price)
    return client_id


def iso(seconds: int) -> str:
    return f"2025-06-16T00:00:{seconds:02d}Z"


def test_limits_hold_from_their_first_to_before_their_last_moment() -> None:
    assert START == 1_750_032_000 * SECOND_NS
    rig = rig_with(effective_from=iso(1), expires_at=iso(3))
    assert reasons(rig) == {Reason.LIMITS_NOT_EFFECTIVE}
    assert reasons(rig.wait(1)) == set()
    rig.now = START + 3 * SECOND_NS - 1
    assert reasons(rig) == set()
    rig.now += 1
    assert reasons(rig) == {Reason.LIMITS_EXPIRED}


def test_a_restricted_venue_and_a_run_that_is_not_on() -> None:
    assert reasons(rig_with(restricted_venues=["elsewhere"])) == set()
    rig = rig_with(restricted_venues=["paper"])
    assert reasons(rig) == {Reason.VENUE_RESTRICTED}
    rig = rig_with()
    assert reasons(rig, run_id="run-1") == set()
    assert reasons(rig, run_id="run-0") == {Reason.RUN_STOPPED}
    rig.take(rig.kernel.stop_run(rig.now, reason="done"))
    assert reasons(rig, run_id="run-1") == {Reason.RUN_STOPPED}


def test_market_orders_and_spread_bind_entries_only() -> None:
    rig = rig_with(allow_market_orders=False, max_spread_bps=2)
    bought(rig)
    assert reasons(rig) == set()
    assert reasons(rig, price=0) == {Reason.MARKET_ORDER_NOT_ALLOWED}
    assert reasons(rig, SELL, price=0) == set()
    rig.top("BTCUSDT", 99_99, 100_02)
    assert reasons(rig) == {Reason.SPREAD_TOO_WIDE}
    assert reasons(rig, SELL) == set()


def test_no_trade_with_ourselves() -> None:
    rig = rig_with(self_trade_prevention=True)
    bought(rig, 2 * ONE // 2)
    assert rig.order("BTCUSDT", SELL, ONE // 2, 100_10) is not None
    assert reasons(rig, price=100_09) == set()
    assert reasons(rig, price=100_10) == {Reason.SELF_TRADE}
    assert reasons(rig, price=0) == {Reason.SELF_TRADE}
    assert reasons(rig, price=1000, symbol="ETHUSDT") == set()
    assert reasons(rig_with(), price=100_10) == set()


def trade(rig: Rig, lots: int, symbol: str = "BTCUSDT") -> None:
    at = {"ts_event": rig.now, "ts_recv": rig.now}
    rig.take(
        rig.kernel.on_trade(e.Trade(symbol=symbol, trade_id=1, price=100_00, lots=lots, aggressor=BUY, **at), rig.now)
    )


def test_size_against_what_traded_lately() -> None:
    rig = rig_with(max_order_volume_bps=1000, volume_window_s=60, reference_max_age_ms=600_000, snapshot_max_age_s=900)
    assert reasons(rig) == {Reason.QUANTITY_ABOVE_RECENT_VOLUME}
    trade(rig, 10 * ONE)
    assert reasons(rig) == set()
    assert reasons(rig, lots=ONE // 2) == set()
    trade(rig, -1)
    assert reasons(rig) == {Reason.QUANTITY_ABOVE_RECENT_VOLUME}
    trade(rig, ONE)
    assert reasons(rig.wait(54)) == set()
    assert reasons(rig.wait(12)) == {Reason.QUANTITY_ABOVE_RECENT_VOLUME}


def test_bars_tell_the_volume_where_trades_are_not_told() -> None:
    rig = rig_with(max_order_volume_bps=1000)
    bar = make_bar("BTCUSDT", 100_00, rig.now)
    rig.take(rig.kernel.on_bar(replace(bar, volume=10 * ONE), rig.now))
    assert reasons(rig) == set()


def test_participation_counts_fills_open_orders_and_the_order() -> None:
    rig = rig_with(max_participation_bps=1000, volume_window_s=60)
    trade(rig, 10 * ONE)
    bought(rig, ONE // 4)
    assert rig.order("BTCUSDT", BUY, ONE // 4, 99_50) is not None
    assert reasons(rig, lots=ONE // 2) == set()
    assert reasons(rig, lots=ONE // 2 + 1) == {Reason.PARTICIPATION_ABOVE_LIMIT}


def test_cash_reserve_leverage_concentration() -> None:
    cost = 100_00 * ONE * BTC.lot_value * 1001 // 1000
    spare = f"{(100_000 * 10**16 - cost) / 10**16:.4f}"
    assert reasons(rig_with(min_cash=spare)) == set()
    assert reasons(rig_with(min_cash="99899.9001")) == {Reason.CASH_RESERVE_BELOW_LIMIT}
    assert reasons(rig_with(max_leverage="0.001")) == set()
    assert reasons(rig_with(max_leverage="0.001"), lots=ONE - 1) == set()
    assert reasons(rig_with(max_leverage="0.0009")) == {Reason.LEVERAGE_ABOVE_LIMIT}
    assert reasons(rig_with(max_concentration_bps=10)) == set()
    assert reasons(rig_with(max_concentration_bps=9)) == {Reason.CONCENTRATION_ABOVE_LIMIT}


def test_concentration_of_equity_does_not_trip_while_a_book_is_filled_piece_by_piece() -> None:
    """Two equal halves of a small book, each far below the limit of equity: neither is refused for being alone."""
    rig = rig_with(max_concentration_bps=4000)
    bought(rig)
    bought(rig, 10 * 10_000, 1000, symbol="ETHUSDT")


def test_net_currency_and_venue_exposure_count_open_orders() -> None:
    names = {
        "max_net_notional": ("200", Reason.NET_EXPOSURE_ABOVE_LIMIT),
        "max_currency_notional": ({"BTC": "200"}, Reason.CURRENCY_EXPOSURE_ABOVE_LIMIT),
        "max_venue_notional": ({"paper": "200"}, Reason.VENUE_EXPOSURE_ABOVE_LIMIT),
        "scopes": ({"venue:paper": {"max_gross_notional": "200"}}, Reason.VENUE_EXPOSURE_ABOVE_LIMIT),
    }
    for name, (value, reason) in names.items():
        rig = rig_with(**{name: value})
        assert rig.order("BTCUSDT", BUY, ONE, 99_50) is not None
        assert reasons(rig) == set(), name
        assert reasons(rig, lots=ONE // 2 + ONE // 2) == set(), name
        rig.top("BTCUSDT", 100_00, 100_02)
        assert reasons(rig) == {reason}, name
        if name != "max_currency_notional":
            assert reasons(rig, symbol="ETHUSDT", lots=10_000, price=1000) == set(), name


def test_scopes_bound_what_belongs_to_them() -> None:
    desks = {"alpha": ["test_hand", "other"], "beta": ["ema_cross"]}
    kinds = {
        "firm": Reason.FIRM_EXPOSURE_ABOVE_LIMIT,
        "desk:alpha": Reason.DESK_EXPOSURE_ABOVE_LIMIT,
        "strategy:test_hand": Reason.STRATEGY_EXPOSURE_ABOVE_LIMIT,
        "instrument:BTCUSDT": Reason.INSTRUMENT_EXPOSURE_ABOVE_LIMIT,
    }
    for scope, reason in kinds.items():
        rig = rig_with(desks=desks, scopes={scope: {"max_gross_notional": "150"}})
        bought(rig, ONE // 2)
        assert rig.order("BTCUSDT", BUY, ONE // 2, 99_50) is not None
        assert reasons(rig, lots=ONE // 2) == set(), scope
        assert reasons(rig, lots=ONE // 2 + 1) == {reason}, scope
        assert reasons(rig, SELL, ONE // 4) == set(), scope
    for scope in ("desk:beta", "strategy:ema_cross", "instrument:ETHUSDT", "venue:other"):
        assert reasons(rig_with(desks=desks, scopes={scope: {"max_gross_notional": "1"}})) == set(), scope


def test_scopes_bound_one_order_and_the_open_ones() -> None:
    rig = rig_with(scopes={"strategy:test_hand": {"max_order_notional": "100", "max_open_orders": 1}})
    assert reasons(rig) == set()
    assert reasons(rig, price=100_01) == {Reason.NOTIONAL_ABOVE_LIMIT}
    assert rig.order("BTCUSDT", BUY, ONE // 2, 99_50) is not None
    assert reasons(rig) == {Reason.OPEN_ORDERS_ABOVE_LIMIT}
    for scope in ("firm", "venue:paper", "instrument:BTCUSDT"):
        rig.limits({**LIMITS, "scopes": {scope: {"max_open_orders": 1}}}, version=rig.books.limits_version + 1)
        assert reasons(rig) == {Reason.OPEN_ORDERS_ABOVE_LIMIT}, scope


def test_the_day_counts_orders_and_turnover_and_forgets_at_midnight() -> None:
    for changes in (
        {"max_orders_per_day": 2},
        {"scopes": {"strategy:test_hand": {"max_orders_per_day": 2}}},
        {"scopes": {"firm": {"max_orders_per_day": 2}}},
    ):
        rig = rig_with(**changes, snapshot_max_age_s=200_000, reference_max_age_ms=200_000_000)
        bought(rig, ONE // 2)
        assert reasons(rig) == set()
        bought(rig, ONE // 2)
        assert reasons(rig) == {Reason.ORDERS_PER_DAY_ABOVE_LIMIT}
        assert reasons(rig, SELL, ONE // 2) == set()
        rig.now = START + DAY_NS
        assert reasons(rig) == set()


def test_turnover_reserves_for_open_orders() -> None:
    for changes in (
        {"max_turnover_per_day": "250"},
        {"scopes": {"desk:alpha": {"max_turnover_per_day": "250"}}, "desks": {"alpha": ["test_hand"]}},
    ):
        rig = rig_with(**changes)
        bought(rig)
        assert rig.order("BTCUSDT", BUY, ONE // 2, 100_00) is not None
        assert reasons(rig, symbol="ETHUSDT", lots=100_000, price=1000) == set()
        assert reasons(rig, symbol="ETHUSDT", lots=100_000, price=1001) == {Reason.TURNOVER_ABOVE_LIMIT}


def test_repeated_executions_halt_the_strategy_until_a_person_resumes_it() -> None:
    rig = rig_with(max_repeated_executions=2, repeated_execution_window_s=10)
    for _ in range(2):
        bought(rig, ONE // 4)
    rig.now = START + 10 * SECOND_NS
    rig.kernel.confirm("BTCUSDT", rig.now)
    assert reasons(rig) == set()
    rig.now -= 1
    assert reasons(rig) == {Reason.REPEATED_EXECUTION_THROTTLE}
    assert rig.order("BTCUSDT", BUY, ONE // 4, 100_00) is None
    assert rig.last_denial() == {"REPEATED_EXECUTION_THROTTLE"}
    rig.wait(30).kernel.confirm("BTCUSDT", rig.now)
    assert reasons(rig) == {Reason.STRATEGY_HALTED}
    again = [{"scope": "strategy:test_hand", "halted": False, "reason": "seen", "by": "ann", "version": 2}]
    rig.take(rig.kernel.set_scopes(rig.now, again))
    assert reasons(rig) == set()


def snapshot(**changes: Any) -> VarSnapshot:
    fields: dict[str, Any] = {
        "symbols": ("BTCUSDT", "ETHUSDT"),
        "covariance": ((0.0004, 0.0), (0.0, 0.0009)),
        "horizon_ns": DAY_NS,
        "confidence": 0.99,
        "as_of": START,
    }
    return VarSnapshot(**{**fields, **changes})


def test_value_at_risk_at_the_exact_limit() -> None:
    # One BTC at 100 with a deviation of 2 %, at the 99 % quantile 2.3263478740408408.
    assert snapshot().value_at_risk({"BTCUSDT": 100.0}) == pytest.approx(4.6526957480816815)
    rig = rig_with(max_var="4.6526957480816816")
    assert reasons(rig) == {Reason.VAR_SNAPSHOT_STALE}
    rig.take(rig.kernel.set_var_snapshot(rig.now, snapshot()))
    assert reasons(rig) == set()
    rig.limits({**LIMITS, "max_var": "4.65269574808"}, version=2)
    assert reasons(rig) == {Reason.VAR_ABOVE_LIMIT}
    # A snapshot over a quarter of the day counts double over the day.
    rig.take(rig.kernel.set_var_snapshot(rig.now, snapshot(horizon_ns=DAY_NS // 4, confidence=0.95)))
    rig.limits({**LIMITS, "max_var": "9.3053914962"}, version=3)
    assert reasons(rig) == set()
    rig.limits({**LIMITS, "max_var": "9.3053914961"}, version=4)
    assert reasons(rig) == {Reason.VAR_ABOVE_LIMIT}
    rig.limits({**LIMITS, "max_var": "6.5794145079", "var_confidence": "0.95"}, version=5)
    assert reasons(rig) == set()


def test_a_hedge_passes_above_the_limit_of_value_at_risk() -> None:
    rig = rig_with(max_var="4")
    together = ((0.0004, -0.0006), (-0.0006, 0.0009))
    rig.take(rig.kernel.set_var_snapshot(rig.now, snapshot(covariance=together)))
    bought(rig, 8 * ONE // 10)
    assert reasons(rig) == {Reason.VAR_ABOVE_LIMIT}
    assert reasons(rig, symbol="ETHUSDT", lots=50_000, price=1000) == set()


def test_a_covariance_that_does_not_fit_closes_the_gate_for_entries() -> None:
    rig = rig_with(max_var="1000", var_max_age_s=3)
    bought_at = rig.kernel.set_var_snapshot(rig.now, snapshot())
    rig.take(bought_at)
    bought(rig)
    for changes in ({"symbols": ("X", "Y")}, {"as_of": START + 1}):
        rig.take(rig.kernel.set_var_snapshot(rig.now, snapshot(**changes)))
        assert reasons(rig) == {Reason.VAR_SNAPSHOT_STALE}, changes
        assert reasons(rig, SELL) == set()
    rig.take(rig.kernel.set_var_snapshot(rig.now, snapshot()))
    assert reasons(rig.wait(3)) == set()
    rig.now += 1
    assert reasons(rig) == {Reason.VAR_SNAPSHOT_STALE}


def test_the_covariance_is_made_from_closed_bars_where_nobody_gives_one() -> None:
    rig = rig_with(max_var="1000", var_horizon_s=3600)
    for number in range(25):
        for symbol, close in (("BTCUSDT", 100_00 + number % 3), ("ETHUSDT", 10_00 + number % 2)):
            rig.bar(symbol, close)
        rig.wait(1).kernel.confirm("BTCUSDT", rig.now)
    made = rig.kernel.desk.risk.var
    assert made is not None
    assert made.symbols == ("BTCUSDT", "ETHUSDT")
    assert reasons(rig) == set()


def test_a_covariance_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(VarSnapshotError, match="finite and symmetric covariance, was nan"):
        snapshot(covariance=((float("nan"), 0.0), (0.0, 1.0)))
    with pytest.raises(VarSnapshotError, match="symmetric"):
        snapshot(covariance=((1.0, 0.5), (0.4, 1.0)))
    with pytest.raises(VarSnapshotError, match="2 x 2"):
        snapshot(covariance=((1.0, 0.5),))
    with pytest.raises(VarSnapshotError, match="confidence"):
        snapshot(confidence=0.4)
    with pytest.raises(VarSnapshotError, match="at least 21 closes of each instrument, was 3"):
        from_closes({"A": [1, 2, 3]}, interval_ns=1, horizon_ns=1, confidence=0.9, as_of=0)


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"effective_from": "tomorrow"}, "effective_from", "expected a time"),
        ({"expires_at": "2025-01-01T00:00:00"}, "expires_at", "with its zone"),
        ({"effective_from": iso(3), "expires_at": iso(2)}, "expires_at", "after effective_from"),
        ({"allow_market_orders": "no"}, "allow_market_orders", "true or false"),
        ({"max_leverage": "0"}, "max_leverage", "more than 0"),
        ({"var_confidence": "1"}, "var_confidence", "less than 1"),
        ({"volume_window_s": 0}, "volume_window_s", "at least 1 s"),
        ({"restricted_venues": "paper"}, "restricted_venues", "list of venues"),
        ({"max_currency_notional": {"BTC": "-1"}}, "max_currency_notional.BTC", "non-negative"),
        ({"scopes": {"planet:mars": {"max_open_orders": 1}}}, "scopes.planet:mars", "expected one of firm"),
        ({"scopes": {"firm": {}}}, "scopes.firm", "object of limits"),
        ({"scopes": {"firm": {"max_mood": 1}}}, "scopes.firm.max_mood", "expected one of"),
        ({"scopes": {"venue:paper": {"max_daily_loss": "1"}}}, "scopes.venue:paper", "followed by strategy"),
        ({"scopes": {"instrument:X": {"max_orders_per_day": 1}}}, "scopes.instrument:X", "followed by strategy"),
    ],
)
def test_an_unusable_optional_limit_is_named(changes: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(LimitsError, match=said) as error:
        parse_limits(1, {**LIMITS, **changes}, [BTC])
    assert error.value.field == field


def test_limits_without_optional_fields_are_what_they_were() -> None:
    assert parse_limits(1, LIMITS, [BTC]).optional is None
