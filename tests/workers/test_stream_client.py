"""The client for feeds that send their books themselves, against a fake of Coinbase Advanced Trade."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support import paper_venue
from tests.support.fake_coinbase import PRODUCT, FakeCoinbase
from workers.adapters.coinbase.frames import AdvancedTradeDecoder
from workers.adapters.coinbase.subscription import AdvancedTradeSubscription
from workers.adapters.feeds import Endpoints, Handlers, listed, open_feed
from workers.adapters.frame_errors import FrameError
from workers.adapters.poll_fetch import fetch_of
from workers.adapters.polling import Poller
from workers.adapters.rest_reader import RestError, RestReader
from workers.adapters.stream_client import StreamClient, StreamConfig
from workers.engine.events import FeedStatus, MarketEvent, TopOfBook, Trade
from workers.engine.instruments import Instrument
from workers.engine.market.quality import Rejection
from workers.engine.market.reconnect import ReconnectConfig
from workers.engine.market.view import MarketView
from workers.engine.vocabulary import FeedState, Side

BTC = Instrument(
    venue="coinbase",
    symbol=PRODUCT,
    base="BTC",
    quote="USD",
    tick=Decimal("0.01"),
    lot=Decimal("0.00000001"),
    min_lots=1,
    max_lots=10**15,
    min_notional=Decimal(1),
    maker_fee=Decimal(0),
    taker_fee=Decimal(0),
)


class Desk:
    """A view behind a client."""

    def __init__(self, fake: FakeCoinbase, fallback: Poller | None = None, **patience: Any) -> None:
        self.view = MarketView(BTC)
        self.out: list[MarketEvent] = []
        self.tape: list[tuple[int, bytes]] = []
        self.broken = False
        self.client = StreamClient(
            StreamConfig(
                url=f"ws://127.0.0.1:{fake.port}/",
                patience=ReconnectConfig(base_s=0.01, cap_s=0.05, **{"good_messages": 3, **patience}),
                renew_after_s=0.05,
            ),
            AdvancedTradeSubscription([PRODUCT]),
            AdvancedTradeDecoder([BTC]),
            on_event=self.take,
            wants_snapshot=lambda symbol: self.view.wants_snapshot,
            on_refused=self.refused,
            tee=lambda at, raw, symbol: self.tape.append((at, raw)),
            fallback=fallback,
            rng=random.Random(7),
        )

    def take(self, event: MarketEvent, times: object) -> None:
        if self.broken:
            raise ArithmeticError("broken strategy")
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
async def fake() -> AsyncIterator[FakeCoinbase]:
    async with FakeCoinbase().running() as one:
        yield one


async def live(fake: FakeCoinbase, desk: Desk) -> None:
    await until(lambda: len(fake.heard) % 3 == 0 and desk.client.stats.connected and bool(fake.heard))
    await fake.update()
    await until(lambda: desk.view.state is FeedState.LIVE)


async def test_subscribes_follows_book_and_trades_and_repeats_nothing(fake: FakeCoinbase) -> None:
    desk = Desk(fake)
    async with running(desk):
        await live(fake, desk)
        assert [one["channel"] for one in fake.heard] == ["heartbeats", "level2", "market_trades"]
        await fake.heartbeat()
        await fake.trade()
        await fake.trade(repeat=True)
        await fake.update()
        await until(lambda: desk.view.book.bids.top(1) == [(10_000, fake.quantity * 10**8)])
    trades = [one for one in desk.out if isinstance(one, Trade)]
    assert [(one.trade_id, one.price, one.lots, one.aggressor) for one in trades] == [
        (1001, 10_002, 50_000_000, Side.BUY)
    ]
    assert not desk.view.gate.counters
    assert len(desk.tape) == desk.client.stats.frames + 1, "the tape also tells where a connection begins"


async def test_a_heartbeat_confirms_a_book_that_does_not_change(fake: FakeCoinbase) -> None:
    desk = Desk(fake)
    async with running(desk):
        await live(fake, desk)
        known, book = desk.view.reference(0), desk.view.book.bids.top(5)
        assert known is not None
        await fake.heartbeat()
        await until(lambda: desk.view.reference(0).age_ns < known.age_ns)  # type: ignore[union-attr]  # it stays known
        assert desk.view.book.bids.top(5) == book
        assert desk.client.renewals == 0
    assert desk.states() == [FeedState.LIVE]
    assert not desk.view.gate.counters


async def test_lost_message_voids_the_book_and_connects_again_at_once(fake: FakeCoinbase) -> None:
    desk = Desk(fake)
    async with running(desk):
        await live(fake, desk)
        await fake.update(lose=True)
        await fake.heartbeat()
        await until(lambda: fake.connects == 2)
        await live(fake, desk)
        assert desk.view.book.bids.top(1) == [(10_000, fake.quantity * 10**8)]
    assert desk.client.gaps == 1
    assert desk.view.gate.counters == {Rejection.GAP: 1}
    assert desk.states() == [FeedState.LIVE, FeedState.CONNECTING, FeedState.LIVE]


async def test_cut_and_silent_connections_come_back(fake: FakeCoinbase) -> None:
    desk = Desk(fake, silence_s=0.3)
    async with running(desk):
        await live(fake, desk)
        await fake.disconnect()
        await until(lambda: fake.connects == 2)
        await live(fake, desk)
        assert "1001 bye" in desk.client.stats.last_disconnect
        await until(lambda: desk.client.stats.last_disconnect == "silent for 0.3 s")


async def test_book_that_cannot_be_right_is_asked_for_again(fake: FakeCoinbase) -> None:
    desk = Desk(fake)
    async with running(desk):
        await live(fake, desk)
        await fake.update(price="200.00")  # a bid above the ask
        await until(lambda: Rejection.CROSSED in desk.view.gate.counters)
        await fake.update()
        await until(lambda: fake.snapshots == 2)
        assert [one["type"] for one in fake.heard[3:]] == ["unsubscribe", "subscribe"]
        await until(lambda: desk.view.book.bids.best() == 10_000)
    assert desk.client.renewals == 1
    assert fake.connects == 1


async def test_failing_handler_ends_the_client(fake: FakeCoinbase) -> None:
    desk = Desk(fake)
    desk.broken = True
    with pytest.raises(ArithmeticError, match="broken strategy"):
        async with asyncio.timeout(5):
            await desk.client.run()


async def test_polling_fills_in_while_the_stream_is_away_and_never_makes_it_live() -> None:
    answers: list[Sequence[MarketEvent] | RestError] = [RestError(503, "later")]

    async def fetch(symbol: str) -> Sequence[MarketEvent]:
        at = time.time_ns()
        if answers and isinstance(answers[0], RestError):
            raise answers.pop(0)  # type: ignore[misc]  # checked above
        quote = TopOfBook(
            symbol=symbol, ts_event=at, ts_recv=at, update_id=at, bid=9_000, bid_lots=1, ask=9_002, ask_lots=1
        )
        trades = [
            Trade(symbol=symbol, ts_event=at, ts_recv=at, trade_id=n, price=9_001, lots=1, aggressor=Side.BUY)
            for n in (3, 2, 1)
        ]
        return [quote, *trades]

    poller = Poller([PRODUCT], fetch, venue="coinbase", interval_s=0.01, after_s=0.01)
    fake = FakeCoinbase()
    async with contextlib.AsyncExitStack() as stack:
        served = contextlib.AsyncExitStack()
        await served.enter_async_context(fake.running())
        desk = Desk(fake, poller)
        await stack.enter_async_context(running(desk))
        await live(fake, desk)
        await served.aclose()
        await until(lambda: poller.polls >= 3)
        assert desk.view.top is not None
        assert desk.view.top.bid == 9_000
        assert desk.view.state is FeedState.STALE
        assert desk.view.detail.startswith("degraded: polled by REST")
    assert poller.failures == 1
    assert [one.trade_id for one in desk.out if isinstance(one, Trade)] == [1, 2, 3]
    assert not poller.active


async def test_each_venue_is_polled_in_its_own_words(fake: FakeCoinbase, tmp_path: Path) -> None:
    async with RestReader(f"http://127.0.0.1:{fake.port}") as rest:
        quote, trade = await fetch_of("coinbase", rest, [BTC])(PRODUCT)
    assert isinstance(quote, TopOfBook)
    assert (quote.bid, quote.ask, quote.bid_lots) == (9_900, 9_902, 2 * 10**8)
    assert isinstance(trade, Trade)
    assert (trade.trade_id, trade.price, trade.aggressor) == (1000, 10_002, Side.BUY)
    async with paper_venue.running(tmp_path) as venue:
        where = Endpoints(f"{venue.url}/api.binance.us", "")
        instruments = await listed("paper", ["BTCUSDT"], where)
        async with RestReader(where.rest) as rest:
            quote, *trades = await fetch_of("paper", rest, instruments.values())("BTCUSDT")
    assert isinstance(quote, TopOfBook)
    assert 0 < quote.bid < quote.ask
    assert len(trades) > 10
    with pytest.raises(ValueError, match="can be polled"):
        fetch_of("nowhere", rest, [])


async def test_the_stream_that_is_back_counts_from_its_own_beginning(fake: FakeCoinbase) -> None:
    """What was polled in between is numbered by time, far above the stream's numbers."""
    async with RestReader(f"http://127.0.0.1:{fake.port}") as rest:
        poller = Poller([PRODUCT], fetch_of("coinbase", rest, [BTC]), venue="coinbase", interval_s=0.01, after_s=0.0)
        desk = Desk(fake, poller)
        async with running(desk):
            await live(fake, desk)
            fake.refuse_streams = True
            await fake.disconnect()
            await until(lambda: desk.view.top is not None and desk.view.top.bid == 9_900)
            assert desk.view.state is FeedState.STALE
            fake.refuse_streams = False
            await until(lambda: fake.connects == 2)
            await live(fake, desk)
            assert desk.view.top is not None
            assert desk.view.top.bid == 10_000
            assert not poller.active


async def test_a_feed_by_its_code_follows_and_polls(fake: FakeCoinbase) -> None:
    where = Endpoints(f"http://127.0.0.1:{fake.port}", f"ws://127.0.0.1:{fake.port}/")
    instruments = await listed("coinbase", [PRODUCT], where)
    view, refused = MarketView(instruments[PRODUCT]), list[FrameError]()

    def take(event: MarketEvent, times: object) -> None:
        view.on_event(event, time.time_ns())

    handlers = Handlers(
        on_event=take,
        wants_snapshot=lambda symbol: view.wants_snapshot,
        on_refused=refused.append,
    )
    feed = open_feed("coinbase", list(instruments.values()), where, handlers, poll_after_s=0.01)
    task = asyncio.create_task(feed.run())
    try:
        await until(lambda: len(fake.heard) == 3)
        await fake.update()
        await until(lambda: view.state is FeedState.LIVE)
        fake.refuse_streams = True
        await fake.disconnect()
        await until(lambda: view.top is not None and view.top.bid == 9_900)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert refused == []
