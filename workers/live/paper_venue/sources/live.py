"""A live public feed of Binance.US, relayed through the venue so that paper orders meet the market of this moment."""

from __future__ import annotations

import asyncio
import logging
import socket
from urllib.parse import urlsplit

import aiohttp
import msgspec

from workers.engine.execution.matching_latency import SplitMix64
from workers.engine.instruments import Instrument
from workers.live.paper_venue.config import MarketKind, VenueConfig
from workers.live.paper_venue.sources.listing import instrument
from workers.live.paper_venue.sources.recording import frame_of, parse
from workers.live.paper_venue.stage import Stage
from workers.live.paper_venue.wire import BookFrame, DepthFrame

log = logging.getLogger(__name__)

_SYMBOLS = ("BTCUSDT", "ETHUSDT")
_PROBE_S = 1.5
_REST_TIMEOUT_S = 10.0
_SILENCE_S = 30.0
_GATHER_S = 0.05
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 30.0
_YEAR_MS = 365 * 86_400_000


class FeedGapError(Exception):
    """A depth change is missing: the books must be taken afresh."""


class LiveSource:
    """Where the feed is, and whether it can be reached."""

    kind = MarketKind.LIVE
    bar_interval = "1s"

    def __init__(self, config: VenueConfig) -> None:
        self.instruments: tuple[Instrument, ...] = tuple(instrument(s, config) for s in _SYMBOLS)
        self.label = f"LIVE {urlsplit(config.live_rest).hostname}"
        self.rest = config.live_rest
        self.stream = config.live_stream

    def reachable(self) -> bool:
        """True when the REST host takes a connection within the probe's time."""
        parts = urlsplit(self.rest)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            with socket.create_connection((parts.hostname or "", port), timeout=_PROBE_S):
                return True
        except OSError:
            return False


class LiveRelay:
    """Keeps a connection to the feed: first at once, then with doubling, jittered waits."""

    def __init__(self, stage: Stage, source: LiveSource) -> None:
        self._stage = stage
        self._source = source
        self._ids: dict[str, int] = {}
        self._random = SplitMix64(stage.config.seed)

    async def run(self) -> None:
        """Relay for ever. The first books open the session; a lost feed is a break until the books are back."""
        stage, delay = self._stage, 0.0
        while True:
            await asyncio.sleep(delay * self._random.uniform())
            try:
                await self._connect()
            except (aiohttp.ClientError, OSError, TimeoutError, FeedGapError, msgspec.DecodeError) as error:
                log.warning("live feed lost: %s", error)
            if stage.home.market.open:
                delay = 0.0
                stage.stop_trading(stage.clock())
            delay = min(max(delay * 2, _FIRST_DELAY_S), _LONGEST_DELAY_S)

    async def _connect(self) -> None:
        stage, source = self._stage, self._source
        streams = "/".join(
            f"{i.symbol.lower()}@{kind}" for i in source.instruments for kind in ("depth@100ms", "bookTicker", "trade")
        )
        url = f"{source.stream}/stream?streams={streams}"
        timeout = aiohttp.ClientTimeout(total=_REST_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.ws_connect(url, heartbeat=15.0) as feed:
            early: list[bytes | str] = []
            books = asyncio.create_task(self._books(session))
            while not books.done():
                await self._gather(feed, early)
            now_ms = stage.home.now_ms
            stage.begin(now_ms, now_ms + _YEAR_MS, 0)
            for book in books.result():
                self._ids[book.symbol] = book.last_id
                stage.show(book, stage.clock(), now_ms)
            stage.start_trading(stage.clock(), now_ms + _YEAR_MS)
            for body in early:
                self._relay(body)
            while True:
                self._relay(_text(await feed.receive(_SILENCE_S)))

    async def _gather(self, feed: aiohttp.ClientWebSocketResponse, early: list[bytes | str]) -> None:
        """Keep what arrives before the books are there."""
        try:
            message = await feed.receive(_GATHER_S)
        except TimeoutError:
            return
        early.append(_text(message))

    async def _books(self, session: aiohttp.ClientSession) -> list[BookFrame]:
        books = []
        for listed in self._source.instruments:
            url = f"{self._source.rest}/api/v3/depth"
            async with session.get(url, params={"symbol": listed.symbol, "limit": "1000"}) as response:
                response.raise_for_status()
                line = parse(await response.read())
                books.append(BookFrame(listed.symbol, line.last_update_id, line.bids, line.asks))
        return books

    def _relay(self, body: bytes | str) -> None:
        line = parse(body)
        if line.data is None:
            return
        symbol = line.stream.partition("@")[0].upper()
        frame = frame_of(symbol, line.data, self._ids[symbol])
        if isinstance(frame, DepthFrame):
            if frame.first_id > self._ids[symbol] + 1:
                raise FeedGapError(f"{symbol}: expected change {self._ids[symbol] + 1}, was {frame.first_id}")
            self._ids[symbol] = frame.last_id
        if frame is not None:
            now = self._stage.clock()
            self._stage.apply(frame, now, now)


def _text(message: aiohttp.WSMessage) -> bytes | str:
    """The body of a message; ClientConnectionError when the feed has closed instead."""
    if message.type is aiohttp.WSMsgType.TEXT and isinstance(message.data, str):
        return message.data
    raise aiohttp.ClientConnectionError(f"feed closed: {message.type.name}")
