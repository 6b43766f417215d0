"""What must not cross a boundary: forecasts a run or a session, entries a narrowed state, orders a run's end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kernels import BTC, LIMITS, Rig
from tests.support.parents import Bench
from workers.engine import events as e
from workers.engine.config import SECOND_NS, KernelConfig
from workers.engine.execution.conditional_types import ConditionalRequest, ConditionalStatus
from workers.engine.execution.parent import ParentRequest, ParentStatus
from workers.engine.kernel import Kernel
from workers.engine.risk.limits import LimitsError
from workers.engine.vocabulary import FeedState, Side, TradingState

MINUTE_NS = 60 * SECOND_NS


def forecast(as_of: int, model: str = "m", interval_ns: int = SECOND_NS) -> e.Forecast:
    return e.Forecast(
        forecast_id=f"f-{as_of}",
        symbol="BTCUSDT",
        model_digest=model,
        as_of=as_of,
        made_at=as_of,
        interval_ns=interval_ns,
        levels=(0.1, 0.5, 0.9),
        quantiles=((-0.001,), (0.001,), (0.002,)),
        confidence=0.8,
    )


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.open(plan=rig.plan(model_digest="m"))
    rig.top("BTCUSDT", 5_000_000, 5_000_100)
    return rig


def known(rig: Rig) -> e.Forecast | None:
    return rig.kernel.desk.markets["BTCUSDT"].forecast


def test_a_forecast_ends_with_its_run(rig: Rig) -> None:
    rig.kernel.on_forecast(forecast(rig.wait(1).now), rig.now)
    assert known(rig) is not None
    rig.take(rig.kernel.stop_run(rig.now, reason="rolled back"))
    rig.take(rig.kernel.start_run(rig.now, rig.plan(run_id="run-2", model_digest="other")))
    assert known(rig) is None
    for late in (forecast(rig.now, "other"), forecast(rig.wait(1).now, "other", interval_ns=MINUTE_NS)):
        rig.kernel.on_forecast(late, rig.now)
        assert known(rig) is None, "asked for by the run before, or of other bars"
    own = forecast(rig.now, "other")
    rig.kernel.on_forecast(own, rig.now)
    assert known(rig) == own


def test_a_forecast_of_the_old_session_is_not_taken_in_the_new_one(rig: Rig) -> None:
    asked = rig.wait(1).now
    rig.feed("BTCUSDT", FeedState.LIVE, session_id=2)
    rig.wait(0.1).kernel.on_forecast(forecast(asked - 1), rig.now)
    assert known(rig) is None
    first = forecast(asked + SECOND_NS)
    rig.wait(1).kernel.on_forecast(first, rig.now)
    assert known(rig) == first


def test_a_feed_that_begins_anew_without_a_session_forgets_no_history(rig: Rig) -> None:
    order = rig.order("BTCUSDT", Side.BUY, 1000, 4_990_000)
    assert order is not None
    rig.accept(order)
    rig.bar("BTCUSDT", 5_000_000, rig.wait(1).now)
    rig.feed("BTCUSDT", FeedState.STALE, session_id=0)
    assert list(rig.kernel.desk.markets["BTCUSDT"].closes) == [5_000_000]
    assert [cancel.client_id for cancel in rig.cancels] == [order]
    assert rig.books.feeds["BTCUSDT"] is FeedState.STALE


def test_reducing_takes_off_what_could_make_a_position_larger(rig: Rig) -> None:
    bought = rig.order("BTCUSDT", Side.BUY, 2000)
    assert bought is not None
    rig.accept(bought)
    rig.fill(bought, 2000, 5_000_100)
    entry = rig.order("BTCUSDT", Side.BUY, 1000, 4_990_000)
    exits = [rig.wait(0.01).order("BTCUSDT", Side.SELL, 1000, 5_010_000 + number) for number in range(2)]
    assert entry is not None
    assert None not in exits
    rig.state(TradingState.REDUCING, 2)
    assert [cancel.client_id for cancel in rig.cancels] == [entry]
    rig.check_replay()


def test_reducing_ends_parents_and_held_orders_that_could_make_a_position_larger(rig: Rig) -> None:
    bought = rig.order("BTCUSDT", Side.BUY, 2000)
    assert bought is not None
    rig.accept(bought)
    rig.fill(bought, 2000, 5_000_100)
    desk = rig.kernel.desk
    stops = [
        desk.hold(ConditionalRequest(symbol="BTCUSDT", side=side, lots=lots, trigger=trigger, reduce_only=reducing))
        for side, lots, trigger, reducing in (
            (Side.BUY, 500, 5_100_000, False),
            (Side.SELL, 2500, 4_900_000, False),
            (Side.SELL, 2000, 4_900_000, False),
            (Side.SELL, 2000, 4_900_000, True),
        )
    ]
    schedule: dict[str, Any] = {"algorithm": "twap", "params": {"slices": 4}, "end": rig.now + MINUTE_NS}
    parents = [
        desk.execute(ParentRequest(symbol="BTCUSDT", side=side, lots=1000, **schedule))
        for side in (Side.BUY, Side.SELL)
    ]
    assert all(rig.books.parents[str(one)].status is ParentStatus.ACTIVE for one in parents)
    rig.take(rig.kernel.on_timer(rig.now))
    rig.state(TradingState.REDUCING, 2)
    held = [rig.books.conditionals.all[str(one)].status for one in stops]
    ended, armed = ConditionalStatus.CANCELED, ConditionalStatus.ARMED
    assert held == [ended, ended, armed, armed]
    assert [rig.books.parents[str(one)].status is ParentStatus.ACTIVE for one in parents] == [False, True]
    rig.check_replay()


def test_what_rested_in_the_old_session_is_cancelled_even_if_the_next_begins_stale(rig: Rig) -> None:
    rig.feed("BTCUSDT", FeedState.LIVE, session_id=1)
    order = rig.order("BTCUSDT", Side.BUY, 1000, 4_990_000)
    assert order is not None
    rig.accept(order)
    rig.feed("BTCUSDT", FeedState.STALE, session_id=2)
    assert [cancel.client_id for cancel in rig.cancels] == [order]
    assert rig.books.feeds["BTCUSDT"] is FeedState.STALE


def test_a_run_that_cannot_go_on_leaves_no_order_behind(rig: Rig) -> None:
    order = rig.order("BTCUSDT", Side.BUY, 1000, 4_990_000)
    assert order is not None
    rig.accept(order)
    gone = [
        e.RunStarted(**{**{name: getattr(event, name) for name in event.__struct_fields__}, "strategy": "forgotten"})
        if isinstance(event, e.RunStarted)
        else event
        for event in rig.journal
    ]
    again = Rig()
    again.kernel = Kernel(KernelConfig(max_pause_ns=0))
    again.kernel.recover(e.Record(seq=n, hash="", event=event) for n, event in enumerate(gone))  # type: ignore[arg-type]  # all are Journalled
    again.now = rig.now
    again.take(again.kernel.open_session(again.now, epoch=2, venue="paper", worker="test", instruments=[BTC]))
    assert again.books.runs == {}
    assert [cancel.client_id for cancel in again.cancels] == [order]


def test_scopes_are_marked_when_due_and_not_with_every_price() -> None:
    """Also while an instrument outside of the scope has no price, so that the account as a whole has no value."""
    limits = {**LIMITS, "scopes": {"strategy:test_hand": {"max_daily_loss": "500"}}}
    rig = Rig()
    rig.open(limits=limits)
    rig.top("BTCUSDT", 5_000_000, 5_000_100)
    order = rig.order("BTCUSDT", Side.BUY, 1000, 5_000_100)
    assert order is not None
    rig.accept(order)
    rig.fill(order, 1000, 5_000_100)
    rig.report(e.BalanceAdopted(ts=rig.now, asset="ETH", total=10**8))
    before = sum(isinstance(event, e.ScopesMarked) for event in rig.journal)
    rig.wait(6)
    for number in range(200):
        rig.wait(0.001).top("BTCUSDT", 5_000_000 + number, 5_000_100 + number)
    assert rig.kernel.valuation.unmarked
    assert sum(isinstance(event, e.ScopesMarked) for event in rig.journal) == before + 1


def test_limits_that_take_a_strategy_out_of_a_halted_desk_are_refused() -> None:
    rig = Rig()
    rig.open(limits={**LIMITS, "desks": {"majors": ["test_hand"]}})
    halt = {"scope": "desk:majors", "halted": True, "reason": "review", "by": "ro", "version": 1}
    rig.take(rig.kernel.set_scopes(rig.now, [halt]))
    escapes: tuple[dict[str, list[str]], ...] = ({}, {"majors": ["ema_cross"]}, {"minors": ["test_hand"]})
    for desks in escapes:
        with pytest.raises(LimitsError, match="test_hand to stay in the desk while it is halted"):
            rig.limits({**LIMITS, "desks": desks}, 2)
    assert rig.kernel.desk.limits is not None
    assert rig.kernel.desk.limits.version == 1
    rig.limits({**LIMITS, "desks": {"majors": ["test_hand", "ema_cross"]}}, 2)
    rig.take(rig.kernel.set_scopes(rig.now, [{**halt, "halted": False, "version": 2}]))
    rig.limits(LIMITS, 3)
    assert rig.kernel.desk.limits.version == 3


@pytest.mark.parametrize("scope", ["", "firm", "venue:paper", "instrument:BTCUSDT"])
def test_a_parent_that_comes_during_a_halt_is_refused_and_sends_nothing_when_it_ends(scope: str) -> None:
    bench = Bench()
    rig = bench.rig
    halt = {"scope": scope, "reason": "odd prints", "by": "ann"}
    if scope:
        rig.take(rig.kernel.set_scopes(rig.now, [{**halt, "halted": True, "version": 1}]))
    else:
        rig.state(TradingState.HALTED, 2)
    parent = bench.start("twap", 100_000, 60, slices=4)
    assert (parent.status, "is halted" in parent.detail) == (ParentStatus.REFUSED, True)
    if scope:
        rig.take(rig.kernel.set_scopes(rig.now, [{**halt, "halted": False, "version": 2}]))
    else:
        rig.state(TradingState.ACTIVE, 3)
    bench.run(30)
    assert bench.intents(parent) == []
    assert bench.start("twap", 100_000, 60, slices=4).status is ParentStatus.ACTIVE


def test_while_trading_only_reduces_a_parent_that_opens_is_refused() -> None:
    bench = Bench()
    bench.rig.state(TradingState.REDUCING, 2)
    opening = bench.start("twap", 100_000, 60, slices=4)
    assert (opening.status, "only reduces" in opening.detail) == (ParentStatus.REFUSED, True)


@pytest.mark.parametrize("scope", [False, True])
def test_a_high_water_mark_outlives_a_process_that_dies_before_the_next_sample(*, scope: bool) -> None:
    bound = {"strategy:test_hand": {"max_drawdown": "500"}} if scope else {}
    limits = {**LIMITS, "max_drawdown": "500", "scopes": bound, "max_position": {"BTCUSDT": "10"}}
    rig = Rig()
    rig.open(limits=limits)
    rig.top("BTCUSDT", 5_000_000, 5_000_100)
    order = rig.order("BTCUSDT", Side.BUY, 30_000, 5_000_100)
    assert order is not None
    rig.accept(order)
    rig.fill(order, 30_000, 5_000_100)
    rig.wait(6)
    rig.top("BTCUSDT", 5_000_000, 5_000_100)
    before = sum(isinstance(event, e.Marked) for event in rig.journal)
    for number in range(500):
        rig.wait(0.001).top("BTCUSDT", 5_000_000 + 100 * number, 5_000_100 + 100 * number)
    told = sum(isinstance(event, e.Marked) for event in rig.journal) - before
    # 0.3 BTC made 150 USDT, in steps of a hundredth of the limit of 500.
    assert 25 <= told <= 32
    again = Rig()
    again.kernel.recover(e.Record(seq=n, hash="", event=event) for n, event in enumerate(rig.journal))  # type: ignore[arg-type]  # all are Journalled
    lost = rig.kernel.valuation.peak - again.kernel.books.peak
    assert 0 <= lost * 100 < rig.kernel.desk.risk.limits.max_drawdown  # type: ignore[union-attr]  # limits are in force
    if scope:
        peaks = [one.kernel.desk.risk.ledger.marks["strategy:test_hand"].peak for one in (rig, again)]
        assert 0 <= (peaks[0] - peaks[1]) * 100 < rig.kernel.desk.risk.limits.max_drawdown  # type: ignore[union-attr]  # as above


def test_a_strategy_that_asks_again_and_again_during_a_halt_fills_no_journal() -> None:
    rig = Rig().open()
    rig.top("BTCUSDT", 99_99, 100_01)
    request = ParentRequest(
        symbol="BTCUSDT",
        side=Side.BUY,
        lots=100_000,
        algorithm="twap",
        params={"slices": 2},
        end=rig.now + 60 * SECOND_NS,
    )
    rig.state(TradingState.HALTED, 2)
    before = len(rig.journal)
    assert [rig.kernel.desk.execute(request) for _ in range(50)] == [None] * 50
    assert len(rig.journal) == before
    rig.state(TradingState.REDUCING, 3)
    before = len(rig.journal)
    assert rig.kernel.desk.execute(request) is None
    assert len(rig.journal) == before
    rig.state(TradingState.ACTIVE, 4)
    assert rig.kernel.desk.execute(request) is not None
