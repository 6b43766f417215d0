"""Backtests over recorded order books and over quotes: the venue's book, latency, queues, and repeatability."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import Any

import pytest

from workers.backtest import BacktestError, Delay, Latency, load_recording, run
from workers.backtest.books import Replay
from workers.backtest.shown import ShownBook
from workers.engine.accounting.books import replay
from workers.engine.desk import Desk
from workers.engine.events import BookDelta, BookSnapshot, Forecast, MarketEvent, TopOfBook, Trade
from workers.engine.execution.matching import MatchingEngine
from workers.engine.execution.parent import ParentRequest
from workers.engine.ports import RequestForecast
from workers.engine.strategy import Params, Strategy, register
from workers.engine.vocabulary import Side

MS = 1_000_000


@pytest.fixture(scope="module")
def recording(market_data: Path) -> Path:
    return market_data / "recordings" / "binance-spot" / "btcusdt_20240808.gz"


@pytest.fixture(scope="module")
def decoded(recording: Path) -> Replay:
    return load_recording(recording, decoded=True)


@pytest.fixture(scope="module")
def traded(decoded: Replay) -> Any:
    return run("ema_cross", decoded, {"fast": 3, "slow": 8, "fraction": 0.05})


def test_decoded_and_raw_input_give_the_same_result(recording, traded):
    again = run("ema_cross", load_recording(recording), {"fast": 3, "slow": 8, "fraction": 0.05})
    assert again.fingerprint == traded.fingerprint
    assert again.events == traded.events > 40_000
    assert len(traded.fills) > 10


def test_the_journal_gives_the_same_books(traded):
    assert replay(traded.journal.events).snapshot() == traded.kernel.books.snapshot()
    assert traded.equity[0] == pytest.approx(100_000)


def test_takers_pay_what_the_recorded_book_showed(decoded):
    """Small orders trade at the newest recorded best price; between two of those, depth updates may have moved it."""
    tops = [event for event in decoded.events if type(event) is TopOfBook]
    times = [event.ts_recv for event in tops]
    fills = run("ema_cross", decoded, {"fast": 3, "slow": 8, "fraction": 0.0002}).fills
    away = []
    for fill in fills:
        top = tops[bisect_right(times, fill.ts) - 1]
        away.append(fill.price - top.ask if fill.side is Side.BUY else top.bid - fill.price)
    assert len(away) > 10
    assert sum(distance == 0 for distance in away) > 0.8 * len(away)


def test_latency_moves_the_fills(decoded, traded):
    latency = Latency(
        entry=Delay(constant_ns=40 * MS), response=Delay(constant_ns=40 * MS), feed=Delay(constant_ns=5 * MS)
    )
    slow = run("ema_cross", decoded, {"fast": 3, "slow": 8, "fraction": 0.05}, latency=latency)
    assert slow.fills
    assert slow.fingerprint != traded.fingerprint
    for fill in slow.fills:
        assert fill.ts - fill.ts_event >= 0
        sent = slow.kernel.books.orders[fill.client_id].created
        assert fill.ts_event - sent == 40 * MS


def test_market_making_rests_and_earns_the_maker_fee(decoded):
    result = run(
        "market_making", decoded, {"half_spread_bps": 0.0, "requote_ticks": 200}, maker_fee=0, taker_fee="0.001"
    )
    assert result.summary["orders"] > 20
    assert result.fills
    assert all(fill.maker and fill.fee == 0 for fill in result.fills)


def test_quotes_alone_can_be_traded(decoded):
    quotes = Replay(
        instruments=decoded.instruments,
        events=[event for event in decoded.events if type(event) in (TopOfBook, Trade)],
        digest="quotes",
        depth=False,
    )
    result = run("ema_cross", quotes, {"fast": 3, "slow": 8, "fraction": 0.01})
    assert result.fills
    assert replay(result.journal.events).snapshot() == result.kernel.books.snapshot()


def test_a_shown_book_that_waits_is_the_book_that_does_not(decoded):
    """Collected changes lead to the levels that each change in its turn leads to."""
    lazy, eager = (MatchingEngine(decoded.instruments, {"USDT": 10**12}) for _ in range(2))
    symbol = decoded.instruments[0].symbol
    waiting, prompt = ShownBook(lazy, depth=True), ShownBook(eager, depth=True)
    events: list[MarketEvent] = [event for event in decoded.events if type(event) in (BookDelta, BookSnapshot)]
    for number, event in enumerate(events[:1500]):
        waiting.take(event, working=False)
        prompt.take(event, working=True)
        if number % 250 == 0:
            waiting.settle()
            for side in (Side.BUY, Side.SELL):
                assert lazy.book(symbol, side).levels(500) == eager.book(symbol, side).levels(500)


def test_a_recording_that_is_none_is_named(tmp_path):
    with pytest.raises(BacktestError, match="there is no file"):
        load_recording(tmp_path / "btcusdt_20240808.gz")
    (tmp_path / "btcusdt_20240808").write_text("not a line\n")
    with pytest.raises(BacktestError, match="line 1: expected '<ns> <json>'"):
        run("ema_cross", load_recording(tmp_path / "btcusdt_20240808"))
    (tmp_path / "strange.bin").write_text("")
    with pytest.raises(BacktestError, match="expected a name like btcusdt_20240808"):
        load_recording(tmp_path / "strange.bin")


def test_forecasts_are_answered_at_the_simulated_time(decoded):
    asked: list[int] = []

    def rising(request: RequestForecast, now: int) -> list[Forecast]:
        asked.append(now)
        assert all(len(closes) == 16 for closes in request.closes.values())
        return [
            Forecast(
                forecast_id=f"{symbol}-{request.as_of}",
                symbol=symbol,
                model_digest="",
                as_of=request.as_of,
                made_at=now + 20 * MS,
                interval_ns=request.interval_ns,
                levels=(0.1, 0.5, 0.9),
                quantiles=((0.0001,), (0.001,), (0.002,)),
                confidence=0.9,
            )
            for symbol in request.closes
        ]

    result = run("forecast_portfolio", decoded, {"input_size": 16}, forecaster=rising)
    assert len(asked) > 100
    assert asked == sorted(asked)
    assert result.fills
    assert result.fills[0].side is Side.BUY
    assert result.fills[0].ts >= asked[0] + 20 * MS


class SliceParams(Params, frozen=True):
    """``lots`` to buy in the minute after the first quote."""

    lots: int = 40_000


@register("test_slices", SliceParams)
class Slices(Strategy[SliceParams]):
    asked = False

    def on_top(self, desk: Desk, top: TopOfBook) -> None:
        if not self.asked:
            self.asked = True
            end, params = desk.now + 60 * 10**9, {"slices": 6}
            request = ParentRequest(
                symbol=top.symbol, side=Side.BUY, lots=self.params.lots, algorithm="twap", params=params, end=end
            )
            assert desk.execute(request) is not None


def test_a_parent_order_is_worked_over_simulated_time(decoded):
    result = run("test_slices", decoded, {})
    (parent,) = result.kernel.books.parents.values()
    assert parent.filled == sum(fill.lots for fill in result.fills) == 40_000
    assert parent.children >= 6
    assert result.fills[-1].ts - result.fills[0].ts > 40 * 10**9
    assert replay(result.journal.events).snapshot() == result.kernel.books.snapshot()
