"""Live market data of Binance spot, or of a venue that speaks its protocol.

One combined websocket stream for all instruments, depth snapshots by REST when the receiver wants them, reconnecting
for ever. Everything is handed over synchronously in order of arrival::

    client = MarketClient(
        instruments, ClientConfig(stream_url=..., rest_url=...),
        on_event=lambda event, times: ..., wants_snapshot=lambda symbol: views[symbol].wants_snapshot,
        on_refused=lambda error: ...,
    )
    await client.run()      # until cancelled; raises what on_event raises

**Backpressure.** There is no queue to bound: a frame is decoded and handled inside the read callback (see
``connection``). A handler that is too slow leaves bytes in the kernel's socket buffer; the frames' age on arrival
then grows, which the quality gate and the risk gate see, and at last the venue closes the connection, which is a
normal reconnect with a fresh snapshot. Depth is already coalesced by the venue to one update per 100 ms, so that no
update may be left out: each carries the next piece of a sequence.

**States.** The client sends ``FeedStatus`` for every instrument: ``CONNECTING`` when the connection was lost, with the
reason, and ``STALE``, with "degraded", while a ``fallback`` polls in the stream's place. ``LIVE`` and ``BREAK`` come
from the venue's ``sessionStatus``, where it has one.

**Polling** ends with the first frame of a connection. Its trades wait until those of the time between were asked for,
so that every trade is handed over once, in order (``trade_bridge``).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from workers.adapters.binance.connection import direct_connection
from workers.adapters.binance.frames import (
    BOOK_TICKER,
    DEPTH,
    SESSION_STATUS,
    TRADE,
    FrameDecoder,
    FrameError,
    stream_name,
)
from workers.adapters.binance.limits import WeightBudget
from workers.adapters.binance.rest_client import LOOPBACK_HOSTS, MarketRest, RestError
from workers.adapters.polling import Poller
from workers.adapters.trade_bridge import TradeBridge
from workers.engine.events import BookDelta, FeedStatus, MarketEvent, Trade
from workers.engine.instruments import Instrument
from workers.engine.market.reconnect import ReconnectConfig, ReconnectPolicy
from workers.engine.vocabulary import FeedState

log = structlog.get_logger(__name__)


BRIDGE_S: Final = 5.0
"""How long trades of a stream that is back wait for those of the time between."""


class ClientConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect and how patient to be. Times in seconds."""

    stream_url: str
    """Without path, ``wss://stream.binance.us:9443``; ``/stream?streams=`` is added."""
    rest_url: str
    """Without path, ``https://api.binance.us``; ``/api/v3/...`` is added."""
    session_status: bool = False
    """Subscribe to the paper venue's session announcements."""
    kline_interval: str = ""
    """Also receive the venue's own candles; empty for none."""
    silence_s: float = 30.0
    """A connection without any data for that long is dropped; a view calls its feed stale much earlier."""
    ping_s: float = 10.0
    """A ping is sent that often, and must be answered as fast: finds a dead peer in a quiet market."""
    max_age_s: float = 23 * 3600.0
    """A connection is replaced after that long: Binance cuts every connection after 24 hours."""
    open_timeout_s: float = 10.0
    good_frames: int = 100
    """Frames after which a connection counts as good, and the next reconnect is immediate."""
    backoff_base_s: float = 0.5
    backoff_cap_s: float = 30.0
    snapshot_levels: int = 1000
    snapshot_retry_s: float = 0.5
    """Pause between two snapshots of one instrument."""
    weight_limit: int = 1000
    """Request weight to use per minute."""


class FrameTimes(NamedTuple):
    """For latency histograms: all of the process's monotonic timer, in ns."""

    read_ns: int
    """When the frame came off the socket."""
    decode_started_ns: int
    """Later than ``read_ns`` by the frames before it in the same read."""
    decoded_ns: int


class ClientStats(msgspec.Struct):
    """Counters for telemetry."""

    connects: int = 0
    frames: int = 0
    refused: int = 0
    snapshots: int = 0
    snapshot_failures: int = 0
    connected: bool = False
    last_disconnect: str = ""
    duplicate_trades: int = 0
    missed_trades: int = 0
    """Ids between trades that neither stream nor polling told of."""


EventHandler = Callable[[MarketEvent, FrameTimes], None]
Tee = Callable[[int, bytes, str], None]
"""Receives every raw frame before it is decoded: receive time in ns, bytes, and the symbol if it is a snapshot."""


class MarketClient:
    """Connects, decodes, hands over. One instance per venue; ``run`` once."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        config: ClientConfig,
        *,
        on_event: EventHandler,
        wants_snapshot: Callable[[str], bool],
        on_refused: Callable[[FrameError], None],
        tee: Tee | None = None,
        fallback: Poller | None = None,
        budget: WeightBudget | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        timer_ns: Callable[[], int] = time.perf_counter_ns,
        rng: random.Random | None = None,
    ) -> None:
        """``budget`` is shared with ``fallback``, whose requests the venue counts too."""
        self.config = config
        self.stats = ClientStats()
        self._symbols = [one.symbol for one in instruments]
        self._decoder = FrameDecoder(instruments, [config.kline_interval] if config.kline_interval else [])
        self._on_event = on_event
        self._wants_snapshot = wants_snapshot
        self._on_refused = on_refused
        self._tee = tee
        self._fallback = fallback
        self._budget = budget
        self._bridge: TradeBridge[FrameTimes] = TradeBridge(clock_ns())
        self._bridging: asyncio.Task[None] | None = None
        self._first_frame = False
        """The next frame is the first one of its connection."""
        self._degraded = False
        self._clock_ns = clock_ns
        self._timer_ns = timer_ns
        patience = ReconnectConfig(
            base_s=config.backoff_base_s,
            cap_s=config.backoff_cap_s,
            good_messages=config.good_frames,
            silence_s=config.silence_s,
            max_age_s=config.max_age_s,
        )
        self._policy = ReconnectPolicy(rng or random.Random(), patience)  # noqa: S311  # jitter, not a secret
        self._snapshots: dict[str, asyncio.Task[None]] = {}
        self._failure: Exception | None = None
        self._failed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """Address of the combined stream."""
        kinds = [DEPTH, BOOK_TICKER, TRADE]
        if self.config.session_status:
            kinds.insert(0, SESSION_STATUS)
        if self.config.kline_interval:
            kinds.append(f"kline_{self.config.kline_interval}")
        names = [stream_name(symbol, kind) for symbol in self._symbols for kind in kinds]
        return f"{self.config.stream_url.rstrip('/')}/stream?streams={'/'.join(names)}"

    async def run(self) -> None:
        """Stay connected until cancelled. Raises what ``on_event`` raised: a handler that fails must not trade on."""
        self._loop = asyncio.get_running_loop()
        limit = self.config.weight_limit
        async with MarketRest(self.config.rest_url, weight_limit=limit, budget=self._budget) as rest:
            try:
                while True:
                    await asyncio.sleep(self._policy.next_delay())
                    reason = await self._connection(rest)
                    await self._stop_requests()
                    if self._failure is not None:
                        raise self._failure
                    self._bridge.lost()
                    self._announce_loss(reason)
                    if self._fallback is not None:
                        self._fallback.start(self._on_polled)
            finally:
                await self._stop_requests()
                if self._fallback is not None:
                    await self._fallback.stop()

    async def _connection(self, rest: MarketRest) -> str:
        """One connection from its opening to its end; returns why it ended."""
        # The first frame can come with the handshake, before ``connect`` returns.
        self._first_frame = True
        make = direct_connection(partial(self._on_frame, rest), self._clock_ns, self._timer_ns)
        is_local = self.config.stream_url.split("://")[-1].split("/")[0].rsplit(":", 1)[0] in LOOPBACK_HOSTS
        try:
            async with connect(
                self.url,
                create_connection=make,
                compression=None,
                open_timeout=self.config.open_timeout_s,
                close_timeout=1.0,
                ping_interval=self.config.ping_s,
                ping_timeout=self.config.ping_s,
                proxy=None if is_local else True,
            ) as socket:
                self.stats.connects += 1
                self.stats.connected = True
                reason = await self._watch(socket)
        except (OSError, TimeoutError, WebSocketException) as exc:
            reason = f"{type(exc).__name__}: {exc}"
        finally:
            self.stats.connected = False
        return reason

    async def _watch(self, socket: ClientConnection) -> str:
        """Wait for the end of the connection, or bring it about when it is silent or too old."""
        loop = asyncio.get_running_loop()
        self._policy.opened(loop.time())
        closed = asyncio.create_task(socket.wait_closed())
        failed = asyncio.create_task(self._failed.wait())
        try:
            while True:
                reason, patience_s = self._policy.verdict(loop.time())
                if reason:
                    return reason
                await asyncio.wait({closed, failed}, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
                if failed.done():
                    return "handler failed"
                if closed.done():
                    return f"closed by venue: {socket.close_code} {socket.close_reason or ''}".rstrip()
        finally:
            closed.cancel()
            failed.cancel()

    def _on_frame(self, rest: MarketRest, raw: bytes, ts_recv: int, read_ns: int) -> None:
        """One message, in the read callback."""
        self.stats.frames += 1
        loop = self._loop
        if loop is not None:
            self._policy.heard(loop.time())
        if self._first_frame:
            self._take_over()
        if self._tee is not None:
            self._tee(ts_recv, raw, "")
        started_ns = self._timer_ns()
        try:
            event = self._decoder.decode(raw, ts_recv)
        except FrameError as exc:
            self.stats.refused += 1
            self._on_refused(exc)
            return
        if event is None:
            return
        times = FrameTimes(read_ns, started_ns, self._timer_ns())
        if type(event) is Trade and not self._bridge.streamed(event, times):
            self.stats.duplicate_trades = self._bridge.duplicates
            return
        if type(event) is FeedStatus:
            self._bridge.on_status(event)
        self._hand_over(event, times)
        if isinstance(event, BookDelta) and self._wants_snapshot(event.symbol):
            self._request_snapshot(rest, event.symbol)

    def _take_over(self) -> None:
        """The stream is back: what was polled has numbers of its own, which the stream's need not follow."""
        self._first_frame = False
        if self._fallback is None:
            return
        if self._fallback.cancel():
            self._announce("the stream is back")
        self._degraded = False
        symbols = [symbol for symbol in self._symbols if self._bridge.known(symbol)]
        if symbols:
            self._bridge.hold(symbols)
            self._bridging = asyncio.create_task(self._fill_between(self._fallback, symbols))

    async def _fill_between(self, fallback: Poller, symbols: Sequence[str]) -> None:
        """Ask for the trades of the time between, then let those that wait follow."""
        for symbol in symbols:
            events: Sequence[MarketEvent] | None = None
            try:
                async with asyncio.timeout(BRIDGE_S):
                    events = await fallback.ask(symbol)
            except TimeoutError:
                log.warning("trades of an outage not told in time", symbol=symbol, waited_s=BRIDGE_S)
            between, waited = self._bridge.release(symbol, [one for one in events or () if isinstance(one, Trade)])
            self.stats.missed_trades = self._bridge.missed
            for trade in between:
                self._on_polled_event(trade)
            for trade, times in waited:
                self._hand_over(trade, times)

    def _on_polled(self, event: MarketEvent) -> None:
        """A poll was answered while the stream is away."""
        if not self._degraded:
            self._degraded = True
            self._announce(self._standing_in(), FeedState.STALE)
        if isinstance(event, Trade) and not self._bridge.polled([event]):
            return
        self.stats.missed_trades = self._bridge.missed
        self._on_polled_event(event)

    def _on_polled_event(self, event: MarketEvent) -> None:
        now_ns = self._timer_ns()
        self._hand_over(event, FrameTimes(now_ns, now_ns, now_ns))

    def _standing_in(self) -> str:
        return f"degraded: polled by REST, the stream is away ({self.stats.last_disconnect})"

    def _hand_over(self, event: MarketEvent, times: FrameTimes) -> None:
        try:
            self._on_event(event, times)
        except Exception as exc:
            self._failure = exc
            self._failed.set()
            raise

    def _request_snapshot(self, rest: MarketRest, symbol: str) -> None:
        task = self._snapshots.get(symbol)
        if task is None or task.done():
            self._snapshots[symbol] = asyncio.create_task(self._fetch_snapshots(rest, symbol))

    async def _fetch_snapshots(self, rest: MarketRest, symbol: str) -> None:
        """Fetch until the receiver is content: a snapshot that is older than its buffer does not serve."""
        while self._wants_snapshot(symbol):
            try:
                raw = await rest.depth(symbol, self.config.snapshot_levels)
                self._take_snapshot(symbol, raw)
            except (RestError, FrameError) as exc:
                self.stats.snapshot_failures += 1
                log.warning("depth snapshot failed", symbol=symbol, error=str(exc))
            # Also after success: a book that is voided at once must not become a flood of requests.
            await asyncio.sleep(self.config.snapshot_retry_s)

    def _take_snapshot(self, symbol: str, raw: bytes) -> None:
        read_ns, ts_recv = self._timer_ns(), self._clock_ns()
        self.stats.snapshots += 1
        if self._tee is not None:
            self._tee(ts_recv, raw, symbol)
        event = self._decoder.snapshot(symbol, raw, ts_recv)
        self._hand_over(event, FrameTimes(read_ns, read_ns, self._timer_ns()))

    async def _stop_requests(self) -> None:
        """End what was asked for on behalf of the connection that ended."""
        if self._bridging is not None:
            self._bridging.cancel()
            await asyncio.gather(self._bridging, return_exceptions=True)
            self._bridging = None
        tasks = [task for task in self._snapshots.values() if not task.done()]
        for task in tasks:
            task.cancel()
        # What a handler raised in one of them is in _failure already.
        await asyncio.gather(*self._snapshots.values(), return_exceptions=True)
        self._snapshots.clear()

    def _announce_loss(self, reason: str) -> None:
        self.stats.last_disconnect = reason
        log.warning("market data connection lost", reason=reason)
        if self._fallback is not None and self._fallback.stands_in:
            self._announce(self._standing_in(), FeedState.STALE)
        else:
            self._announce(reason)

    def _announce(self, detail: str, state: FeedState = FeedState.CONNECTING) -> None:
        now_ns, timer_ns = self._clock_ns(), self._timer_ns()
        for symbol in self._symbols:
            status = FeedStatus(symbol=symbol, ts_event=now_ns, ts_recv=now_ns, state=state, detail=detail)
            self._on_event(status, FrameTimes(timer_ns, timer_ns, timer_ns))
