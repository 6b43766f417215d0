"""What must not cross a boundary: forecasts a run or a session, entries a narrowed state, orders a run's end."""

from __future__ import annotations

import pytest

from tests.support.kernels import BTC, LIMITS, Rig
from workers.engine import events as e
from workers.engine.config import SECOND_NS, KernelConfig
from workers.engine.kernel import Kernel
from workers.engine.vocabulary import FeedState, Side, TradingState


def forecast(as_of: int, model: str = "m") -> e.Forecast:
    return e.Forecast(
        forecast_id=f"f-{as_of}",
        symbol="BTCUSDT",
        model_digest=model,
        as_of=as_of,
        made_at=as_of,
        interval_ns=SECOND_NS,
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
    older = forecast(rig.now - SECOND_NS, "other")
    rig.kernel.on_forecast(older, rig.now)
    assert known(rig) == older


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
    assert again.books.run is None
    assert [cancel.client_id for cancel in again.cancels] == [order]


def test_scopes_are_marked_when_due_and_not_with_every_price() -> None:
    limits = {**LIMITS, "scopes": {"strategy:test_hand": {"max_daily_loss": "500"}}}
    rig = Rig()
    rig.open(limits=limits)
    rig.report(e.BalanceAdopted(ts=rig.now, asset="ETH", total=10**8))
    rig.wait(6)
    for number in range(200):
        rig.wait(0.001).top("BTCUSDT", 5_000_000 + number, 5_000_100 + number)
    assert sum(isinstance(event, e.ScopesMarked) for event in rig.journal) <= 1
