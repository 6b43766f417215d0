"""The kernel under control: states, limits, runs, halting, pauses, recovery."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.support.kernels import BTC, LIMITS, START, Hand, Rig, make_bar
from workers.engine import events as e
from workers.engine.config import SECOND_NS, KernelConfig
from workers.engine.kernel import Kernel, RunError
from workers.engine.ports import Cancel, Journal
from workers.engine.risk.limits import LimitsError, limits_digest
from workers.engine.strategy import StrategyError
from workers.engine.vocabulary import FeedState, OrderStatus, Side, TradingState

ONE = 100_000


@pytest.fixture
def rig() -> Rig:
    rig = Rig().open()
    rig.top("BTCUSDT", 99_99, 100_01)
    rig.top("ETHUSDT", 9_99, 10_01)
    return rig


def records(rig: Rig) -> list[e.Record]:
    return [e.Record(seq=seq, hash="", event=event) for seq, event in enumerate(rig.journal)]  # type: ignore[arg-type]  # all are Journalled


def recovered(rig: Rig, **config: Any) -> Rig:
    """A new process on the same journal."""
    again = Rig(rig.instruments, **config)
    again.now = rig.now
    again.journal = list(rig.journal)
    again.kernel.recover(records(rig))
    again.take(
        again.kernel.open_session(
            rig.now, epoch=rig.books.epoch + 1, venue="paper", worker="test", instruments=list(rig.instruments)
        )
    )
    return again


def events(rig: Rig, kind: type) -> list[Any]:
    return [event for event in rig.journal if type(event) is kind]


def test_a_new_journal_starts_halted() -> None:
    kernel = Kernel(KernelConfig())
    kernel.open_session(START, epoch=1, venue="paper", worker="test", instruments=[BTC])
    assert kernel.books.state is TradingState.HALTED


def test_the_intent_comes_before_the_order(rig: Rig) -> None:
    rig.kernel.desk.now = rig.now
    request = rig.order("BTCUSDT", Side.BUY, ONE, 100_00)
    assert request
    at = [type(x) for x in rig.journal].index(e.OrderIntended)
    assert rig.sent[0].intent is rig.journal[at]
    assert rig.sent[0].deadline == rig.now + KernelConfig().send_within_ns
    assert (rig.sent[0].intent.limits_version, rig.sent[0].intent.reference) == (1, 100_00)


def test_halting_cancels_everything_and_refuses(rig: Rig) -> None:
    first = rig.order("BTCUSDT", Side.BUY, ONE, 100_00)
    second = rig.order("ETHUSDT", Side.BUY, 50_000, 10_00)
    effects = rig.state(TradingState.HALTED, 2)
    assert isinstance(effects[0], Journal)
    assert isinstance(effects[0].event, e.TradingStateChanged)
    assert [x.client_id for x in effects if isinstance(x, Cancel)] == [first, second]
    assert rig.order("BTCUSDT", Side.BUY, ONE, 100_00) is None
    assert rig.last_denial() == {"TRADING_HALTED"}
    rig.check_replay()


def test_only_a_newer_decision_changes_the_state(rig: Rig) -> None:
    assert rig.state(TradingState.HALTED, 1) == ()
    rig.state(TradingState.REDUCING, 5)
    assert rig.state(TradingState.ACTIVE, 4) == ()
    assert rig.books.state is TradingState.REDUCING


def test_a_loss_at_the_limit_halts_and_cancels(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", Side.BUY, ONE, 100_00)
    assert client_id
    rig.fill(client_id, ONE, 100_00)
    resting = rig.order("BTCUSDT", Side.BUY, ONE // 2, 99_50)
    rig.limits({**LIMITS, "max_drawdown": "2"}, version=2)
    rig.top("BTCUSDT", 98_01, 98_01)
    assert rig.books.state is TradingState.ACTIVE
    rig.top("BTCUSDT", 98_00, 98_00)
    change = events(rig, e.TradingStateChanged)[-1]
    assert (change.state, change.by, change.reason) == (TradingState.HALTED, "risk", "drawdown limit reached")
    assert [x.client_id for x in rig.cancels] == [resting]
    assert events(rig, e.Marked)[-1].drawdown == 2 * 10**16
    count = len(rig.journal)
    rig.top("BTCUSDT", 97_00, 97_00)
    assert len(rig.journal) == count
    rig.check_replay()


def test_a_resumed_desk_is_not_halted_again_by_the_same_loss(rig: Rig) -> None:
    test_a_loss_at_the_limit_halts_and_cancels(rig)
    rig.state(TradingState.ACTIVE, 2)
    rig.top("BTCUSDT", 96_00, 96_00)
    assert rig.books.state is TradingState.ACTIVE
    assert rig.order("ETHUSDT", Side.BUY, ONE, 10_00) is None
    assert rig.last_denial() == {"DRAWDOWN_EXCEEDED"}
    assert rig.order("BTCUSDT", Side.SELL, ONE, 96_00)


def test_limits_with_a_wrong_digest_or_field_leave_the_old_ones(rig: Rig) -> None:
    with pytest.raises(LimitsError, match="digest"):
        rig.kernel.activate_limits(rig.now, version=2, digest="0" * 64, limits=LIMITS)
    bad = {**LIMITS, "burst": "many"}
    with pytest.raises(LimitsError, match="burst"):
        rig.kernel.activate_limits(rig.now, version=2, digest=limits_digest(bad), limits=bad)
    assert rig.kernel.desk.limits is not None
    assert rig.kernel.desk.limits.version == rig.books.limits_version == 1


def test_a_run_starts_once_and_stops_with_its_orders(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", Side.BUY, ONE, 100_00)
    assert rig.kernel.start_run(rig.now, rig.plan()) == ()
    with pytest.raises(RunError, match="stop it before"):
        rig.kernel.start_run(rig.now, rig.plan(run_id="run-2"))
    rig.take(rig.kernel.stop_run(rig.now, reason="test"))
    assert [x.client_id for x in rig.cancels] == [client_id]
    assert rig.books.runs == {}
    assert rig.order("BTCUSDT", Side.BUY, ONE, 100_00) is None
    assert rig.kernel.stop_run(rig.now, reason="again") == ()
    with pytest.raises(RunError, match="final"):
        rig.kernel.start_run(rig.now, rig.plan())
    rig.take(rig.kernel.start_run(rig.now, rig.plan(run_id="run-2")))
    assert rig.order("BTCUSDT", Side.BUY, ONE, 100_00)
    rig.check_replay()
    rig.take(rig.kernel.stop_run(rig.now, reason="test"))
    with pytest.raises(RunError, match="final"):
        recovered(rig).kernel.start_run(rig.now, rig.plan())


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"strategy": "moon"}, StrategyError, "unknown strategy 'moon'; known are .*ema_cross"),
        ({"strategy": "ema_cross", "params": {"quick": 3}}, StrategyError, "unknown field `quick`"),
        ({"strategy": "ema_cross", "params": {"fast": "ten"}}, StrategyError, "parameters of ema_cross"),
        ({"strategy": "ema_cross", "params": {"fast": 0}}, StrategyError, ">= 1"),
        ({"strategy": "forecast_portfolio", "params": {"input_size": 9999}}, StrategyError, "at most 4096"),
        ({"instruments": ["XRPUSDT"]}, RunError, "XRPUSDT"),
        ({"instruments": []}, RunError, "none"),
    ],
)
def test_a_plan_that_cannot_run_changes_nothing(rig: Rig, changes: Any, error: type[Exception], said: str) -> None:
    rig.take(rig.kernel.stop_run(rig.now, reason="test"))
    count = len(rig.journal)
    with pytest.raises(error, match=said):
        rig.kernel.start_run(rig.now, rig.plan(run_id="run-2", **changes))
    assert rig.take(rig.kernel.on_timer(rig.now)) == ()
    assert len(rig.journal) == count
    assert rig.books.runs == {}


def test_cancel_all_asks_again(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", Side.BUY, ONE, 100_00)
    assert client_id
    rig.accept(client_id)
    for _ in range(2):
        rig.take(rig.kernel.cancel_all(rig.now, reason="button", by="operator"))
    assert [x.client_id for x in rig.cancels] == [client_id, client_id]
    assert rig.cancels[0].venue_order_id == rig.books.orders[client_id].venue_order_id
    rig.kernel.desk.cancel(client_id, "strategy")
    assert rig.kernel.on_timer(rig.now) == ()


@pytest.mark.parametrize("pause", [SECOND_NS * 4, -SECOND_NS * 4])
def test_a_process_that_slept_does_not_trade_on_what_it_knew(pause: int) -> None:
    rig = Rig(max_pause_ns=3 * SECOND_NS).open()
    rig.top("BTCUSDT", 99_99, 100_01)
    resting = rig.order("BTCUSDT", Side.BUY, ONE // 2, 100_00)
    rig.now += pause
    # What was in the socket's buffer comes first, with a fresh receive time.
    rig.top("BTCUSDT", 99_99, 100_01)
    assert rig.kernel.gaps == 1
    assert [x.client_id for x in rig.cancels] == [resting]
    assert [x.paused_ns for x in rig.resyncs] == [pause]
    assert rig.order("BTCUSDT", Side.BUY, ONE, 100_00) is None
    assert rig.last_denial() >= {"NOT_RECONCILED", "REFERENCE_STALE", "LIMITS_STALE"}
    rig.wait(2).feed("BTCUSDT", FeedState.LIVE)
    rig.top("BTCUSDT", 99_99, 100_01)
    rig.reconcile()
    rig.take(rig.kernel.confirm_limits(rig.now, version=1))
    assert rig.order("BTCUSDT", Side.BUY, ONE, 100_00)
    rig.check_replay()


def test_a_lost_order_connection_needs_reconciliation(rig: Rig) -> None:
    rig.take(rig.kernel.on_disconnect(rig.now, reason="user stream closed"))
    assert rig.kernel.on_disconnect(rig.now, reason="again") == ()
    assert rig.order("BTCUSDT", Side.BUY, ONE, 100_00) is None
    assert rig.last_denial() == {"NOT_RECONCILED"}
    rig.reconcile()
    assert rig.order("BTCUSDT", Side.SELL, ONE, 100_00) is None
    assert rig.last_denial() == {"SHORT_NOT_ALLOWED"}


def test_a_feed_that_is_not_live_takes_resting_orders_off(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", Side.BUY, ONE, 100_00)
    rig.feed("BTCUSDT", FeedState.STALE)
    assert [x.client_id for x in rig.cancels] == [client_id]
    assert rig.feed("BTCUSDT", FeedState.STALE) == ()


def test_a_new_session_carries_no_price_over(rig: Rig) -> None:
    rig.bar("BTCUSDT", 100_00)
    rig.feed("BTCUSDT", FeedState.LIVE, session_id=2)
    assert rig.order("BTCUSDT", Side.BUY, ONE, 100_00) is None
    assert rig.last_denial() == {"REFERENCE_STALE"}
    assert len(rig.kernel.desk.market("BTCUSDT").closes) == 0


def test_denials_do_not_flood_the_journal(rig: Rig) -> None:
    for _ in range(5):
        assert rig.order("BTCUSDT", Side.SELL, ONE, 100_00) is None
    assert len(events(rig, e.OrderDenied)) == 1
    assert rig.kernel.desk.suppressed == 4
    rig.wait(1).kernel.confirm("BTCUSDT", rig.now)
    assert rig.order("BTCUSDT", Side.SELL, ONE, 100_00) is None
    assert len(events(rig, e.OrderDenied)) == 2
    assert rig.books.denied == {"SHORT_NOT_ALLOWED": 2}


def test_a_restart_knows_everything_and_trusts_nothing(rig: Rig) -> None:
    client_id = rig.order("BTCUSDT", Side.BUY, ONE, 100_00)
    assert client_id
    rig.fill(client_id, ONE // 2, 100_00)
    again = recovered(rig)
    assert again.books.orders[client_id].status is OrderStatus.PARTIALLY_FILLED
    assert again.books.lines["BTCUSDT"].open_buy == ONE // 2
    assert again.books.epoch == 2
    assert again.books.state is TradingState.ACTIVE
    assert again.kernel.desk.traded == ("BTCUSDT", "ETHUSDT")
    again.feed("BTCUSDT", FeedState.LIVE)
    again.top("BTCUSDT", 99_99, 100_01)
    assert again.order("BTCUSDT", Side.BUY, 20_000, 100_00) is None
    assert again.last_denial() == {"NOT_RECONCILED", "LIMITS_STALE"}
    again.reconcile()
    again.take(again.kernel.confirm_limits(again.now, version=1))
    other = again.wait(1).order("BTCUSDT", Side.BUY, 20_000, 100_00)
    assert other
    assert other not in rig.books.orders
    again.check_replay()


def test_an_intent_found_after_a_crash_is_resolved_by_the_venues_answer(rig: Rig) -> None:
    lost, alive = (rig.order("BTCUSDT", Side.BUY, ONE // 2 + n, 100_00) for n in range(2))
    assert lost
    assert alive
    again = recovered(rig)
    assert [order.client_id for order in again.books.open_orders()] == [lost, alive]
    again.report(e.OrderNotSent(ts=again.now, client_id=lost, detail="not at the venue"))
    again.report(e.OrderAccepted(ts=again.now, client_id=alive, venue_order_id="9"))
    assert [order.status for order in again.books.orders.values()] == [OrderStatus.CANCELED, OrderStatus.WORKING]
    again.check_replay()


def test_an_epoch_must_grow(rig: Rig) -> None:
    with pytest.raises(ValueError, match="above 1"):
        rig.kernel.open_session(rig.now, epoch=1, venue="paper", worker="test", instruments=[BTC])


def test_strategies_hear_of_their_fills(rig: Rig) -> None:
    Hand.heard.clear()
    client_id = rig.order("BTCUSDT", Side.BUY, ONE, 100_00)
    assert client_id
    fill = rig.fill(client_id, ONE, 100_00)
    rig.report(fill)
    assert Hand.heard == [f"fill {fill.trade_id}"]


def test_only_events_of_the_market_are_taken(rig: Rig) -> None:
    common: dict[str, Any] = {"symbol": "BTCUSDT", "ts_event": START, "ts_recv": START}
    with pytest.raises(TypeError, match="was BookSnapshot"):
        rig.kernel.on_market(e.BookSnapshot(last_id=1, bids=(), asks=(), **common), START)
    trade = e.Trade(trade_id=1, price=1, lots=1, aggressor=Side.BUY, **common)
    status = e.FeedStatus(state=FeedState.LIVE, session_id=1, **common)
    top = e.TopOfBook(update_id=1, bid=99_99, bid_lots=1, ask=100_01, ask_lots=1, **common)
    for event in (trade, status, top, make_bar("BTCUSDT", 100_00, START)):
        assert rig.kernel.on_market(event, START) == ()


def test_stages_are_timed_by_the_clock_of_the_host() -> None:
    ticks = iter(range(0, 10**9, 7))
    rig = Rig()
    rig.kernel = Kernel(KernelConfig(max_pause_ns=0), clock=lambda: next(ticks))
    rig.open()
    rig.top("BTCUSDT", 99_99, 100_01)
    rig.order("BTCUSDT", Side.BUY, ONE, 100_00)
    assert rig.sent[0].intent.stages == {"signal": 7, "risk": 7}


def test_old_prices_make_no_loss_after_a_restart(rig: Rig) -> None:
    """The price fell and a fill came after the last sample: neither is a profit that then was lost."""
    rig.limits({**LIMITS, "max_drawdown": "5"}, version=2)
    rig.top("BTCUSDT", 90_00, 90_00)
    client_id = rig.order("BTCUSDT", Side.BUY, ONE, 90_00)
    assert client_id
    rig.fill(client_id, ONE, 90_00)
    again = recovered(rig)
    assert again.kernel.valuation.unmarked == 1
    again.take(again.wait(10).kernel.on_timer(again.now))
    again.feed("BTCUSDT", FeedState.LIVE)
    again.top("BTCUSDT", 89_00, 89_00)
    assert again.books.state is TradingState.ACTIVE
    assert again.kernel.valuation.drawdown == 10**16
    assert again.kernel.valuation.unmarked == 0
    again.check_replay()


def test_throttles_survive_a_restart() -> None:
    rig = Rig().open(limits={**LIMITS, "max_orders_per_second": 1, "burst": 1, "duplicate_window_ms": 60_000})
    rig.top("BTCUSDT", 99_99, 100_01)
    assert rig.order("BTCUSDT", Side.BUY, ONE, 100_00)
    again = recovered(rig)
    again.reconcile()
    again.take(again.kernel.confirm_limits(again.now, version=1))
    again.feed("BTCUSDT", FeedState.LIVE)
    again.top("BTCUSDT", 99_99, 100_01)
    assert again.order("BTCUSDT", Side.BUY, ONE, 100_00) is None
    assert again.last_denial() == {"DUPLICATE_ORDER", "MESSAGE_RATE_EXCEEDED"}


def test_a_journal_of_another_version_fails_closed_and_not_at_start(rig: Rig) -> None:
    """Limits without a field of today, and a strategy that is no more."""
    old = {name: value for name, value in LIMITS.items() if name != "burst"}
    rig.journal.append(e.LimitsActivated(ts=rig.now, version=9, digest=limits_digest(old), limits=old))
    started = next(event for event in rig.journal if isinstance(event, e.RunStarted))
    rig.journal.append(msgspec.structs.replace(started, strategy="gone"))
    again = recovered(rig)
    assert again.books.runs == {}
    assert "unknown strategy 'gone'" in events(again, e.RunStopped)[-1].reason
    with pytest.raises(LimitsError, match="burst"):
        again.kernel.activate_limits(again.now, version=9, digest=limits_digest(old), limits=old)
    again.limits(LIMITS, version=10)
    assert again.kernel.desk.limits is not None
    again.check_replay()
