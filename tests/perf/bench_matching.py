"""The matching engine alone, and the paper venue as a process: orders per second, events per second, CPU used.

Run with ``python -m tests.perf.bench_matching``. Figures in ms unless said otherwise.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import aiohttp
import psutil

from tests.support.paper_venue import KEY, SECRET, TOKEN, Running, ready
from workers.engine.execution.matching import MatchingEngine
from workers.engine.execution.matching_types import NewOrder
from workers.engine.instruments import atoms
from workers.engine.vocabulary import OrderType, Side, TimeInForce
from workers.live.paper_venue.config import VenueConfig
from workers.live.paper_venue.hub import Hub
from workers.live.paper_venue.market import Market
from workers.live.paper_venue.profiles import parse
from workers.live.paper_venue.sources.recording import RecordingSource
from workers.live.paper_venue.sources.synthetic import SyntheticSource
from workers.live.paper_venue.stage import Stage
from workers.live.paper_venue.wire import BookFrame, MarketSource

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = Path(os.environ.get("GEKKO_DATA", ROOT.parent / "shared" / "data")) / "recordings" / "binance-spot"
ORDERS = 20_000
WATCH_S = 8.0


def main() -> None:
    """Print the table."""
    market, engine = engine_with_book()
    print(f"{'what':58} {'p50':>8} {'p99':>8} {'count':>8} {'per second':>11} {'load':>5}")
    orders(engine, market)
    replay("market events through decoding, matching, candlesticks", synthetic())
    if RECORDINGS.exists():
        replay("the same from a raw recording", RecordingSource(RECORDINGS, VenueConfig()))
    for venues in ("", "beta", "dark", "beta,dark"):
        asyncio.run(together(venues))
    asyncio.run(processes())


def row(what: str, samples_ms: list[float], seconds: float) -> None:
    ordered = sorted(samples_ms)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    rate = len(ordered) / seconds
    print(f"{what:58} {p50:8.3f} {p99:8.3f} {len(ordered):8d} {rate:11,.0f} {os.getloadavg()[0]:5.1f}", flush=True)


def synthetic() -> SyntheticSource:
    return SyntheticSource(VenueConfig(events_per_second=1000, session_s=120))


def engine_with_book() -> tuple[Market, MatchingEngine]:
    source = synthetic()
    engine = MatchingEngine(source.instruments, {"USDT": atoms("10000000000", "USDT"), "BTC": 0, "ETH": 0})
    market = Market(engine, source.instruments, hub=Hub(), on_reports=lambda _: None)
    market.begin(1, 0, 0)
    for _, frame in islice(source.session(1, 0).frames, 2000):
        market.show(frame, 0)
    market.start_trading(1)
    return market, engine


def orders(engine: MatchingEngine, market: Market) -> None:
    best = engine.book("BTCUSDT", Side.BUY).best

    def new(number: int, price: int, tif: TimeInForce = TimeInForce.GTC) -> NewOrder:
        return NewOrder(
            client_id=str(number),
            symbol="BTCUSDT",
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            tif=tif,
            lots=100,
            price=price,
        )

    resting: list[float] = []
    started = time.perf_counter()
    for number in range(ORDERS):
        before = time.perf_counter()
        placed = new(number, best - 100 - number % 50)
        engine.submit(placed, number)
        found = engine.find(placed.client_id)
        if found is not None:
            engine.cancel(found.order_id, number)
        resting.append((time.perf_counter() - before) * 1000)
    row("engine: limit order in, and out again", resting, time.perf_counter() - started)
    taking: list[float] = []
    started = time.perf_counter()
    for number in range(ORDERS, 2 * ORDERS):
        if number % 100 == 0:
            market.start_trading(number)
        before = time.perf_counter()
        engine.submit(new(number, best + 2000, TimeInForce.IOC), number)
        taking.append((time.perf_counter() - before) * 1000)
    row("engine: immediate order against the book", taking, time.perf_counter() - started)


def replay(what: str, source: MarketSource) -> None:
    engine = MatchingEngine(source.instruments, {})
    market = Market(engine, source.instruments, hub=Hub(), on_reports=lambda _: None)
    market.begin(1, 0, 0)
    samples: list[float] = []
    waiting = {i.symbol for i in source.instruments}
    started = time.perf_counter()
    frames = source.session(1, 0).frames
    for at, frame in islice(frames, 60_000):
        before = time.perf_counter()
        if waiting:
            market.show(frame, at // 1_000_000)
            if isinstance(frame, BookFrame):
                waiting.discard(frame.symbol)
                if not waiting:
                    market.start_trading(at)
            continue
        market.apply(frame, at)
        samples.append((time.perf_counter() - before) * 1000)
    row(f"engine: {what}", samples, time.perf_counter() - started)


async def together(venues: str) -> None:
    """Events through every venue of one process, without readers."""
    with tempfile.TemporaryDirectory() as folder:
        config = VenueConfig(state_dir=Path(folder), venues=parse(venues))
        recorded = RECORDINGS.exists()
        source = RecordingSource(RECORDINGS, config) if recorded else synthetic()
        stage, samples = Stage(config, source, time.time_ns), list[float]()
        stage.begin(0, 0, 1)
        frames = source.session(1, 0).frames
        for at, frame in islice(frames, 2_000):
            stage.show(frame, at, at // 1_000_000)
        stage.start_trading(0, 0)
        begun = time.perf_counter()
        for at, frame in islice(frames, 30_000):
            before = time.perf_counter()
            stage.apply(frame, at, at)
            samples.append((time.perf_counter() - before) * 1000)
        kind = "recorded" if recorded else "synthetic"
        row(f"stage: {kind} event at {','.join(['home', *stage.others])}", samples, time.perf_counter() - begun)
        await stage.close()


@asynccontextmanager
async def process(**environment: str) -> AsyncIterator[tuple[Running, psutil.Process]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "GEKKO_VENUE_PORT": str(port),
            "GEKKO_VENUE_STATE": folder,
            "GEKKO_VENUE_API_KEY": KEY,
            "GEKKO_VENUE_API_SECRET": SECRET,
            "GEKKO_VENUE_FAULT_TOKEN": TOKEN,
            "GEKKO_VENUE_LATENCY_MS": "0",
            "GEKKO_VENUE_LATENCY_MEDIAN_MS": "0",
            "GEKKO_VENUE_ORDER_LIMIT": "1000000",
            "GEKKO_VENUE_WEIGHT_LIMIT": "1000000",
        }
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "workers.live.paper_venue",
            env={**os.environ, **settings, **environment},
            cwd=ROOT,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with aiohttp.ClientSession() as http:
                url = f"http://127.0.0.1:{port}"
                await started(http, url)
                # the venue lives in the other process, so that there is no object of it here
                yield Running(None, url, http), psutil.Process(child.pid)
        finally:
            child.terminate()
            await child.wait()


async def started(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                return await ready(http, url)
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)


async def processes() -> None:
    async with process(GEKKO_VENUE_MARKET="synthetic", GEKKO_VENUE_EVENTS_PER_SECOND="50") as (venue, _):
        await rest_orders(venue, 300, 1)
        await rest_orders(venue, 800, 8)
    if RECORDINGS.exists():
        async with process(GEKKO_VENUE_MARKET="recording") as (venue, child):
            await stream("venue: recording at 1x, every stream read once", venue, child)
        async with process(GEKKO_VENUE_MARKET="recording", GEKKO_PAPER_VENUES="beta,dark") as (venue, child):
            await stream("the same with venues beta and dark beside it", venue, child)
    async with process(GEKKO_VENUE_MARKET="synthetic", GEKKO_VENUE_EVENTS_PER_SECOND="1000") as (venue, child):
        await stream("venue: synthetic at 1,000 events/s, every stream read once", venue, child)


async def rest_orders(venue: Running, count: int, together: int) -> None:
    samples: list[float] = []

    async def place(first: int) -> None:
        for number in range(first, count, together):
            before = time.perf_counter()
            await venue.order(newClientOrderId=f"b{together}-{number}", price="10000", quantity="0.001")
            samples.append((time.perf_counter() - before) * 1000)

    begun = time.perf_counter()
    await asyncio.gather(*(place(first) for first in range(together)))
    row(f"venue: signed order to durable answer, {together} at a time", samples, time.perf_counter() - begun)


async def stream(what: str, venue: Running, child: psutil.Process) -> None:
    """Age of events on arrival (their time is in whole ms), and the CPU time of the venue."""
    kinds = ("depth@100ms", "bookTicker", "trade", "kline_1s")
    names = "/".join(f"{symbol}@{kind}" for symbol in ("btcusdt", "ethusdt") for kind in kinds)
    ages: list[float] = []
    count = 0
    clock: Callable[[], float] = time.time
    async with venue.socket(f"/stream?streams={names}") as reader:
        begun, cpu = time.perf_counter(), sum(child.cpu_times()[:2])
        while time.perf_counter() - begun < WATCH_S:
            data = (await reader.receive_json())["data"]
            count += 1
            if "E" in data:
                ages.append(clock() * 1000 - data["E"])
        seconds = time.perf_counter() - begun
        used = (sum(child.cpu_times()[:2]) - cpu) / seconds
    row(f"{what}: age", ages, seconds)
    print(f"{'':58} {count / seconds:,.0f} messages/s, {used:.0%} of one core, {child.memory_info().rss >> 20} MiB")


if __name__ == "__main__":
    main()
