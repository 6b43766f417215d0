"""What is recorded replays to the same events; the paper venue plays its own recording again, to the same book."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import paper_venue
from tests.support.fake_coinbase import PRODUCT, FakeCoinbase
from workers.adapters.coinbase.frames import AdvancedTradeDecoder
from workers.adapters.feeds import Endpoints, listed
from workers.adapters.recording import RecordingWriter, read_frames, read_header
from workers.adapters.store.replay import BinanceReplay, replay
from workers.engine.events import BookDelta, BookSnapshot, MarketEvent, Trade
from workers.engine.market.book import OrderBook
from workers.engine.market.view import MarketView
from workers.engine.vocabulary import FeedState
from workers.live.paper_venue.config import VenueConfig
from workers.live.paper_venue.sources.recording import RecordingSource
from workers.live.paper_venue.wire import BookFrame, DepthFrame, Grid
from workers.live.recorder import Recorder


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # the condition is in another task's objects
            await asyncio.sleep(0.005)


def watched(recorder: Recorder) -> list[MarketEvent]:
    """Every event that the live decoder gives, as the recorder's own views get it."""
    events: list[MarketEvent] = []
    for view in recorder.views.values():
        inner = view.on_event

        def on_event(event: MarketEvent, now_ns: int, inner: object = inner) -> object:
            events.append(event)
            return inner(event, now_ns)  # type: ignore[operator]  # a bound method

        view.on_event = on_event  # type: ignore[method-assign,assignment]  # a spy
    return events


async def test_paper_venue_is_recorded_and_plays_its_recording_to_the_same_book(tmp_path: Path) -> None:
    async with paper_venue.running(tmp_path / "venue") as venue:
        where = Endpoints(f"{venue.url}/api.binance.us", f"{venue.url.replace('http', 'ws')}/stream.binance.us")
        instruments = await listed("paper", ["BTCUSDT"], where)
        recorder = Recorder("paper", instruments, where, tmp_path / "tape")
        live = watched(recorder)
        task = asyncio.create_task(recorder.run())
        view = recorder.views["BTCUSDT"]
        await until(lambda: view.state is FeedState.LIVE and recorder.frames > 120)
        (path,) = recorder.paths
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert path.name.startswith("btcusdt_")
    assert read_header(path).venue == "paper"
    assert not recorder.refused

    instrument = instruments["BTCUSDT"]
    again = list(replay(path, BinanceReplay(instrument)))
    assert again == [event for event in live if event.ts_recv]
    assert any(isinstance(event, Trade) for event in again)

    other = MarketView(instrument)
    for event in again:
        other.on_event(event, event.ts_recv)
    assert other.book.last_id == view.book.last_id > 0
    assert (other.book.bids.lots, other.book.asks.lots) == (view.book.bids.lots, view.book.asks.lots)

    config = VenueConfig(state_dir=tmp_path / "second", data_dir=tmp_path)
    source = RecordingSource(tmp_path / "tape", config)
    book, grid = OrderBook(), Grid(source.instruments[0])
    for _, frame in source.session(1, 0).frames:
        if isinstance(frame, BookFrame | DepthFrame):
            first = frame.last_id if isinstance(frame, BookFrame) else frame.first_id
            levels = (grid.levels(frame.bids), grid.levels(frame.asks))
            at = {"symbol": "BTCUSDT", "ts_event": 1, "ts_recv": 1, "last_id": frame.last_id}
            if isinstance(frame, BookFrame):
                book.load(BookSnapshot(**at, bids=levels[0], asks=levels[1]))  # type: ignore[arg-type]
            else:
                book.apply(BookDelta(**at, first_id=first, bids=levels[0], asks=levels[1]))  # type: ignore[arg-type]
    assert book.last_id == view.book.last_id
    assert (book.bids.lots, book.asks.lots) == (view.book.bids.lots, view.book.asks.lots)


async def test_numbered_feed_replays_over_its_reconnects_and_a_new_day_begins_with_a_book(tmp_path: Path) -> None:
    midnight = (time.time_ns() // (86_400 * 10**9) + 1) * 86_400 * 10**9
    shift = 0
    async with FakeCoinbase().running() as fake:
        where = Endpoints(f"http://127.0.0.1:{fake.port}", f"ws://127.0.0.1:{fake.port}/")
        instruments = await listed("coinbase", [PRODUCT], where)
        recorder = Recorder("coinbase", instruments, where, tmp_path, clock_ns=lambda: time.time_ns() + shift)
        live = watched(recorder)
        task = asyncio.create_task(recorder.run())
        await until(lambda: len(fake.heard) == 3)
        await fake.update()
        await fake.disconnect()
        await until(lambda: len(fake.heard) == 6)
        await fake.trade()
        await until(lambda: any(isinstance(one, Trade) for one in live))
        (first,) = recorder.paths
        before = list(live)
        shift = midnight + 10**9 - time.time_ns()
        await fake.update()
        await until(lambda: len(fake.heard) == 8)
        await until(lambda: recorder.paths and recorder.paths != [first])
        (second,) = recorder.paths
        seen = len(live)
        await fake.update()
        await until(lambda: len(live) > seen)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    made = [one for one in before if not type(one).__name__.startswith("Feed")]
    assert list(replay(first, AdvancedTradeDecoder(instruments.values()))) == made
    assert sum(b'"connected"' in raw for _, raw in read_frames(first)) == 2
    view = MarketView(instruments[PRODUCT])
    for event in replay(second, AdvancedTradeDecoder(instruments.values())):
        view.on_event(event, event.ts_recv)
    assert view.book.bids.lots == recorder.views[PRODUCT].book.bids.lots
    assert view.state is FeedState.LIVE


async def test_a_disk_that_is_full_ends_the_recording_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RecordingWriter, at_ns: int, raw: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with FakeCoinbase().running() as fake:
        where = Endpoints(f"http://127.0.0.1:{fake.port}", f"ws://127.0.0.1:{fake.port}/")
        recorder = Recorder("coinbase", await listed("coinbase", [PRODUCT], where), where, tmp_path)
        monkeypatch.setattr(RecordingWriter, "append", full)
        with pytest.raises(OSError, match="No space left"):
            async with asyncio.timeout(10):
                await recorder.run()
    assert recorder.frames == 0
