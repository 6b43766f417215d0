"""The market data client against a fake exchange: gaps, cuts, silence, refusals."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from tests.support.fake_binance_stream import FakeBinance, now_ms
from tests.support.market_events import make_instrument
from workers.adapters.binance.frames import FrameError
from workers.adapters.binance.market_client import ClientConfig, FrameTimes, MarketClient
from workers.engine.events import FeedStatus, MarketEvent, TopOfBook, Trade
from workers.engine.market.quality import Rejection
from workers.engine.market.view import MarketView
from workers.engine.vocabulary import FeedState


def a_trade() -> dict[str, object]:
    at = now_ms()
    return {"e": "trade", "E": at, "s": "BTCUSDT", "t": 1, "p": "100.01", "q": "0.00001", "T": at, "m": True, "M": True}


class Desk:
    """A view behind a client, and all that came through."""

    def __init__(self, exchange: FakeBinance, *, fails: bool = False, **options: object) -> None:
        self.fails = fails
        self.view = MarketView(make_instrument())
        self.events: list[MarketEvent] = []
        self.times: list[FrameTimes] = []
        self.out: list[MarketEvent] = []
        self.taped: list[tuple[int, bytes, str]] = []
        base = f"127.0.0.1:{exchange.port}"
        settings: dict[str, object] = {
            "stream_url": f"ws://{base}",
            "rest_url": f"http://{base}",
            "snapshot_retry_s": 0.01,
            "backoff_base_s": 0.01,
            "backoff_cap_s": 0.05,
            **options,
        }
        self.client = MarketClient(
            [make_instrument()],
            ClientConfig(**settings),  # type: ignore[arg-type]  # options of each test
            on_event=self.take,
            wants_snapshot=lambda symbol: self.view.wants_snapshot,
            on_refused=self.refused,
            tee=lambda at, raw, symbol: self.taped.append((at, raw, symbol)),
            rng=random.Random(7),
        )

    def take(self, event: MarketEvent, times: FrameTimes) -> None:
        if self.fails:
            raise ArithmeticError("broken strategy")
        self.events.append(event)
        self.times.append(times)
        self.out.extend(self.view.on_event(event, time.time_ns()))

    def refused(self, error: FrameError) -> None:
        self.view.reject(error.reason, error.detail)

    def states(self) -> list[FeedState]:
        return [one.state for one in self.out if isinstance(one, FeedStatus)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # the condition is in another task's objects
            await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def running(desk: Desk) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(desk.client.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def exchange() -> AsyncIterator[FakeBinance]:
    async with FakeBinance().running() as fake:
        yield fake


async def live(exchange: FakeBinance, desk: Desk) -> None:
    """Connected, and the book in sync."""
    await exchange.connected.wait()
    await exchange.update()
    await until(lambda: desk.view.state is FeedState.LIVE)


async def test_subscribes_synchronises_and_follows(exchange: FakeBinance) -> None:
    desk = Desk(exchange, session_status=True)
    async with running(desk):
        await live(exchange, desk)
        assert exchange.paths[0] == (
            "/stream?streams=btcusdt@sessionStatus/btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade"
        )
        await exchange.update()
        await exchange.send("btcusdt@trade", a_trade())
        await until(lambda: isinstance(desk.out[-1], Trade))
    tops = [one for one in desk.out if isinstance(one, TopOfBook)]
    assert [top.bid_lots for top in tops] == [200_000, 300_000]
    assert (desk.client.stats.connects, exchange.snapshot_requests) == (1, 1)
    assert not desk.view.gate.counters
    for event, times in zip(desk.events, desk.times, strict=True):
        assert times.read_ns <= times.decode_started_ns <= times.decoded_ns
        assert abs(event.ts_recv - time.time_ns()) < 10_000_000_000


async def test_every_raw_frame_is_taped_before_it_is_decoded(exchange: FakeBinance) -> None:
    desk = Desk(exchange)
    async with running(desk):
        await live(exchange, desk)
        await exchange.send_raw("no json")
        await until(lambda: desk.client.stats.refused == 1)
    assert [symbol for _, _, symbol in desk.taped] == ["", "BTCUSDT", ""]
    assert desk.taped[-1][1] == b"no json"
    assert desk.view.gate.counters == {Rejection.SCHEMA: 1}


async def test_fragmented_message_is_put_together(exchange: FakeBinance) -> None:
    desk = Desk(exchange)
    async with running(desk):
        await live(exchange, desk)
        await exchange.send_raw(
            [
                '{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT",',
                '"t":1,"p":"100.01","q":"1","T":5,"m":true}}',
            ]
        )
        await until(lambda: isinstance(desk.events[-1], Trade))


async def test_gap_voids_the_book_and_fetches_another_snapshot(exchange: FakeBinance) -> None:
    desk = Desk(exchange)
    async with running(desk):
        await live(exchange, desk)
        await exchange.update(lose=True)
        await exchange.update()
        await until(lambda: desk.view.resyncs == 1 and desk.view.state is FeedState.LIVE)
    assert desk.states() == [FeedState.LIVE, FeedState.STALE, FeedState.LIVE]
    assert desk.view.book.last_id == exchange.last_id
    assert desk.view.book.bids.top(1) == [(10_000, exchange.bid_quantity * 100_000)]
    assert exchange.snapshot_requests == 2
    assert desk.client.stats.connects == 1


async def test_cut_connection_comes_back_with_a_fresh_book(exchange: FakeBinance) -> None:
    desk = Desk(exchange, good_frames=1)
    async with running(desk):
        await live(exchange, desk)
        await exchange.disconnect()
        await until(lambda: desk.view.state is FeedState.CONNECTING)
        assert len(desk.view.book.bids) == 0
        await live(exchange, desk)
    assert desk.client.stats.connects == 2
    assert "1001 bye" in desk.client.stats.last_disconnect
    assert desk.states() == [FeedState.LIVE, FeedState.CONNECTING, FeedState.LIVE]


async def test_refused_handshakes_are_tried_again(exchange: FakeBinance) -> None:
    exchange.refuse_connections = 3
    desk = Desk(exchange)
    async with running(desk):
        await live(exchange, desk)
    assert desk.client.stats.connects == 1
    assert len([path for path in exchange.paths if path.startswith("/stream")]) == 4
    assert "503" in desk.client.stats.last_disconnect


async def test_silent_connection_is_replaced(exchange: FakeBinance) -> None:
    desk = Desk(exchange, silence_s=0.1)
    async with running(desk):
        await live(exchange, desk)
        exchange.connected.clear()
        await until(lambda: desk.client.stats.last_disconnect == "silent for 0.1 s")
        await live(exchange, desk)
    assert desk.client.stats.connects >= 2


async def test_old_connection_is_replaced_before_the_venue_cuts_it(exchange: FakeBinance) -> None:
    desk = Desk(exchange, max_age_s=0.2)
    async with running(desk):
        await until(lambda: desk.client.stats.connects >= 2)
    assert desk.client.stats.last_disconnect == "planned reconnect after 0.2 s"


async def test_refused_snapshot_waits_for_as_long_as_the_venue_says(exchange: FakeBinance) -> None:
    exchange.snapshot_answers = [(429, {"Retry-After": "1", "X-MBX-USED-WEIGHT-1M": "5"})]
    desk = Desk(exchange)
    async with running(desk):
        started = time.monotonic()
        await exchange.connected.wait()
        await exchange.update()
        await until(lambda: desk.client.stats.snapshots == 1)
        # The snapshot carries no time: only an update proves that the feed is not behind.
        assert desk.view.state is FeedState.CONNECTING
        await live(exchange, desk)
    assert time.monotonic() - started >= 0.99
    assert exchange.snapshot_requests == 2


async def test_failing_snapshots_are_tried_again(exchange: FakeBinance) -> None:
    exchange.snapshot_answers = [(500, {}), (503, {})]
    desk = Desk(exchange)
    async with running(desk):
        await live(exchange, desk)
    assert desk.client.stats.snapshot_failures == 2
    assert exchange.snapshot_requests == 3


async def test_failing_handler_ends_the_client(exchange: FakeBinance) -> None:
    desk = Desk(exchange, fails=True)
    task = asyncio.create_task(desk.client.run())
    await exchange.connected.wait()
    await exchange.update()
    with pytest.raises(ArithmeticError, match="broken strategy"):
        async with asyncio.timeout(5):
            await task


def test_runs_on_the_event_loop_of_the_trading_process() -> None:
    async def follow() -> Desk:
        async with FakeBinance().running() as exchange:
            desk = Desk(exchange)
            async with running(desk):
                await live(exchange, desk)
                await exchange.update(lose=True)
                await exchange.update()
                await until(lambda: desk.view.resyncs == 1 and desk.view.state is FeedState.LIVE)
            return desk

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        desk = runner.run(follow())
    assert desk.states() == [FeedState.LIVE, FeedState.STALE, FeedState.LIVE]


def test_failing_handler_ends_the_client_on_that_loop_too() -> None:
    async def fail() -> None:
        async with FakeBinance().running() as exchange:
            await test_failing_handler_ends_the_client(exchange)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(fail())
