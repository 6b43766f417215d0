"""Binance's stream away and back, over sockets: polled meanwhile, marked, within the budget, no trade twice or lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support.execution import paper_venue
from tests.support.fake_binance_stream import FakeBinance
from tests.support.market_events import make_instrument
from tests.support.network import Wire
from workers.adapters import feeds
from workers.adapters.binance.market_client import ClientConfig, FrameTimes
from workers.adapters.feeds import Endpoints, Feed, Handlers, listed, open_binance
from workers.adapters.rest_reader import RestReader
from workers.adapters.trade_bridge import TradeBridge
from workers.engine.events import FeedStatus, MarketEvent, TopOfBook, Trade
from workers.engine.instruments import Instrument
from workers.engine.market.view import MarketView
from workers.engine.vocabulary import FeedState, Side
from workers.live.execution.binance_dialect import rest_url, stream_url

REFUSE = 1_000_000


class Follower:
    """A view behind the feed that trading opens, and what came through."""

    def __init__(self, instrument: Instrument, config: ClientConfig) -> None:
        self.view = MarketView(instrument)
        self.told: list[MarketEvent] = []
        self.out: list[MarketEvent] = []
        handlers = Handlers(self.take, lambda _symbol: self.view.wants_snapshot, lambda _error: None)
        self.feed: Feed = open_binance("binanceus", [instrument], config, handlers, poll_after_s=0.05)

    def take(self, event: MarketEvent, _times: FrameTimes) -> None:
        self.told.append(event)
        self.out.extend(self.view.on_event(event, time.time_ns()))

    @property
    def trades(self) -> list[int]:
        return [one.trade_id for one in self.told if isinstance(one, Trade)]

    def states(self) -> list[FeedState]:
        return [one.state for one in self.out if isinstance(one, FeedStatus)]


def config(base: str, **more: object) -> ClientConfig:
    settings: dict[str, object] = {
        "stream_url": f"ws://{base}",
        "rest_url": f"http://{base}",
        "snapshot_retry_s": 0.01,
        "backoff_base_s": 0.01,
        "backoff_cap_s": 0.05,
        "weight_limit": 1_000_000,
        **more,
    }
    return ClientConfig(**settings)  # type: ignore[arg-type]  # settings of each test


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # the condition is in another task's objects
            await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def running(follower: Follower) -> AsyncIterator[None]:
    task = asyncio.create_task(follower.feed.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "POLL_EVERY_S", 0.01)
    monkeypatch.setattr(feeds, "POLL_RETRY_CAP_S", 0.05)


@pytest.fixture
async def exchange() -> AsyncIterator[FakeBinance]:
    async with FakeBinance().running() as fake:
        yield fake


async def live(exchange: FakeBinance, follower: Follower) -> None:
    await exchange.connected.wait()
    await exchange.update()
    await until(lambda: follower.view.state is FeedState.LIVE)


async def cut(exchange: FakeBinance) -> None:
    """The stream is away, and stays so."""
    exchange.refuse_connections = REFUSE
    await exchange.disconnect()


async def test_prices_and_trades_go_on_by_rest_marked_as_such_and_the_stream_takes_over(exchange: FakeBinance) -> None:
    follower = Follower(make_instrument(), config(f"127.0.0.1:{exchange.port}"))
    async with running(follower):
        await live(exchange, follower)
        await exchange.trade()
        await exchange.trade()
        await until(lambda: follower.trades == [1, 2])
        await cut(exchange)
        await exchange.trade(lose=True)
        exchange.bid_quantity = 77
        await until(lambda: follower.trades == [1, 2, 3])
        assert follower.view.state is FeedState.STALE
        assert follower.view.detail.startswith("degraded: polled by REST, the stream is away (")
        tops = [one for one in follower.out if isinstance(one, TopOfBook)]
        assert tops[-1].bid_lots == 7_700_000
        # Between the last poll and the first frame of the stream.
        exchange.refuse_connections = 0
        await exchange.connected.wait()
        await exchange.trade(lose=True)
        await exchange.trade()
        await live(exchange, follower)
        await exchange.trade()
        await until(lambda: 6 in follower.trades)
        polls = len(exchange.polled_at)
        await exchange.trade()
        await until(lambda: 7 in follower.trades)
    assert follower.trades == [1, 2, 3, 4, 5, 6, 7]
    assert len(exchange.polled_at) == polls
    assert follower.feed.stats.missed_trades == 0
    ordered = [
        state
        for before, state in zip([None, *follower.states()], follower.states(), strict=False)
        if state is not before
    ]
    assert ordered == [FeedState.LIVE, FeedState.CONNECTING, FeedState.STALE, FeedState.CONNECTING, FeedState.LIVE]


async def test_a_short_outage_is_bridged_without_a_poll_in_between(exchange: FakeBinance) -> None:
    follower = Follower(make_instrument(), config(f"127.0.0.1:{exchange.port}", good_frames=1))
    async with running(follower):
        await live(exchange, follower)
        await exchange.trade()
        await until(lambda: follower.trades == [1])
        await exchange.disconnect()
        await exchange.trade(lose=True)
        await live(exchange, follower)
        await until(lambda: follower.trades == [1, 2])
    assert FeedState.STALE not in follower.states()


async def test_a_refusal_for_haste_is_obeyed(exchange: FakeBinance) -> None:
    follower = Follower(make_instrument(), config(f"127.0.0.1:{exchange.port}"))
    async with running(follower):
        await live(exchange, follower)
        await exchange.trade()
        exchange.trade_answers = [(429, {"Retry-After": "1"})]
        await cut(exchange)
        await exchange.trade(lose=True)
        await until(lambda: follower.trades == [1, 2])
    assert exchange.polled_at[1] - exchange.polled_at[0] >= 0.99


async def test_what_fails_is_asked_again(exchange: FakeBinance) -> None:
    follower = Follower(make_instrument(), config(f"127.0.0.1:{exchange.port}"))
    async with running(follower):
        await live(exchange, follower)
        await exchange.trade()
        await until(lambda: follower.trades == [1])
        exchange.trade_answers = [(500, {}), (503, {})]
        await cut(exchange)
        await exchange.trade(lose=True)
        await until(lambda: follower.trades == [1, 2])


async def test_polling_and_snapshots_share_what_the_venue_counts(exchange: FakeBinance) -> None:
    """The venue says that all is used: the snapshot of the stream that is back has to wait, as polls do."""
    base = config(f"127.0.0.1:{exchange.port}", weight_limit=100_000)
    follower = Follower(make_instrument(), base)
    async with running(follower):
        await live(exchange, follower)
        exchange.trade_answers = [(200, {"X-MBX-USED-WEIGHT-1M": "100000"})]
        await cut(exchange)
        await until(lambda: len(exchange.polled_at) == 1)
        asked = exchange.snapshot_requests
        exchange.refuse_connections = 0
        await exchange.connected.wait()
        await exchange.update()
        await until(lambda: follower.view.wants_snapshot)
        await asyncio.sleep(0.1)
        assert (len(exchange.polled_at), exchange.snapshot_requests) == (1, asked)


async def test_at_the_paper_venue_no_trade_is_lost_or_told_twice(tmp_path: Path) -> None:
    async with paper_venue(tmp_path, events_per_second=200.0) as venue:
        rest = rest_url(venue.url)
        instruments = await listed("binanceus", ["BTCUSDT"], Endpoints(rest, ""))
        wire = Wire(int(venue.url.rsplit(":", 1)[1]))
        streams = stream_url(await wire.open())
        follower = Follower(instruments["BTCUSDT"], config("", stream_url=streams, rest_url=rest, session_status=True))
        async with running(follower):
            await until(lambda: follower.view.state is FeedState.LIVE and len(follower.trades) > 3)
            wire.refusing = True
            wire.cut()
            await until(lambda: "degraded" in follower.view.detail)
            seen = len(follower.trades)
            await until(lambda: len(follower.trades) > seen + 3)
            wire.refusing = False
            await until(lambda: follower.view.state is FeedState.LIVE)
            seen = len(follower.trades)
            await until(lambda: len(follower.trades) > seen + 3)
        await wire.close()
        async with RestReader(rest) as reader:
            raw = await reader.get("/api/v3/trades", {"symbol": "BTCUSDT", "limit": "1000"})
    first, last = follower.trades[0], follower.trades[-1]
    truth = [one["id"] for one in json.loads(raw) if first <= one["id"] <= last]
    assert follower.trades == truth


def traded(number: int) -> Trade:
    return Trade(symbol="BTCUSDT", ts_event=1, ts_recv=1, trade_id=number, price=10_000, lots=1, aggressor=Side.BUY)


class TestBridge:
    def test_what_nobody_told_of_is_counted(self) -> None:
        bridge: TradeBridge[None] = TradeBridge()
        assert bridge.streamed(traded(5), None)
        bridge.lost()
        assert [one.trade_id for one in bridge.polled([traded(9), traded(5), traded(8)])] == [8, 9]
        assert bridge.missed == 2

    def test_of_a_market_that_was_never_heard_of_nothing_old_is_told(self) -> None:
        bridge: TradeBridge[None] = TradeBridge(since=2)
        assert bridge.polled([traded(7), traded(8)]) == []
        assert [one.trade_id for one in bridge.polled([traded(8), traded(9)])] == [9]

    def test_a_new_session_counts_anew(self) -> None:
        bridge: TradeBridge[None] = TradeBridge()
        for session in (1, 2):
            bridge.on_status(
                FeedStatus(symbol="BTCUSDT", ts_event=1, ts_recv=1, state=FeedState.LIVE, session_id=session)
            )
            assert bridge.streamed(traded(3), None)
            bridge.lost()
        assert not bridge.streamed(traded(3), None)
        assert bridge.duplicates == 1
