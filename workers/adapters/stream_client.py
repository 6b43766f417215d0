"""A websocket feed of any venue that sends its books whole at the start of a subscription.

What differs between venues is in two parts: a decoder (frames to events, loss to ``SequenceGap``) and a subscription
(what to send, and what to send to get one book afresh). Everything else is here and the same for all: connecting,
patience, silence, planned reconnects, the tee for recordings, and the hand-over inside the read callback, which is
also the backpressure (see ``binance.market_client``).

The client sends ``FeedStatus`` for every instrument: CONNECTING when a connection was lost, with the reason, and STALE,
with "degraded", while a ``fallback`` polls in the stream's place. A trade that was told is not told again by either.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from workers.adapters.binance.connection import direct_connection
from workers.adapters.binance.market_client import ClientStats, EventHandler, FrameTimes, Tee
from workers.adapters.frame_errors import FrameError, SequenceGap
from workers.adapters.polling import Poller
from workers.adapters.recording import connected_marker
from workers.adapters.rest_reader import LOOPBACK_HOSTS
from workers.adapters.trade_bridge import TradeBridge
from workers.engine.events import BookDelta, FeedStatus, MarketEvent, Trade
from workers.engine.market.reconnect import ReconnectConfig, ReconnectPolicy
from workers.engine.vocabulary import FeedState

log = structlog.get_logger(__name__)


class FeedDecoder(Protocol):
    """Frames of one connection to events. Raises FrameError, and SequenceGap when something was lost."""

    def restart(self) -> None: ...
    def decode(self, raw: bytes, ts_recv: int) -> Sequence[MarketEvent]: ...


class Subscription(Protocol):
    """What a venue wants to be told."""

    @property
    def symbols(self) -> Sequence[str]:
        """Instruments that the connection feeds."""
        ...

    def opening(self) -> Sequence[str]:
        """Messages after connecting; made anew each time, since some are signed with the time."""
        ...

    def renewal(self, symbol: str) -> Sequence[str]:
        """Messages after which the venue sends that book whole again."""
        ...


class StreamConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect and how patient to be; seconds."""

    url: str
    patience: ReconnectConfig = ReconnectConfig()
    ping_s: float = 10.0
    open_timeout_s: float = 10.0
    renew_after_s: float = 1.0
    """Pause between two requests for the same book."""


class StreamClient:
    """Connects, subscribes, decodes, hands over. One instance per connection; ``run`` once."""

    def __init__(
        self,
        config: StreamConfig,
        subscription: Subscription,
        decoder: FeedDecoder,
        *,
        on_event: EventHandler,
        wants_snapshot: Callable[[str], bool],
        on_refused: Callable[[FrameError], None],
        tee: Tee | None = None,
        fallback: Poller | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        timer_ns: Callable[[], int] = time.perf_counter_ns,
        rng: random.Random | None = None,
    ) -> None:
        self.config = config
        self.stats = ClientStats()
        self.gaps = 0
        self.renewals = 0
        self._subscription = subscription
        self._decoder = decoder
        self._on_event = on_event
        self._wants_snapshot = wants_snapshot
        self._on_refused = on_refused
        self._tee = tee
        self._fallback = fallback
        self._bridge: TradeBridge[FrameTimes] = TradeBridge(clock_ns())
        self._degraded = False
        self._clock_ns = clock_ns
        self._timer_ns = timer_ns
        self._policy = ReconnectPolicy(rng or random.Random(), config.patience)  # noqa: S311  # jitter, not a secret
        self._renewed_s: dict[str, float] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._socket: ClientConnection | None = None
        self._ending = ""
        self._end = asyncio.Event()
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Stay connected until cancelled. Raises what ``on_event`` raised: a handler that fails must not trade on."""
        try:
            while True:
                await asyncio.sleep(self._policy.next_delay())
                reason = await self._connection()
                if self._failure is not None:
                    raise self._failure
                self._bridge.lost()
                self._announce_loss(reason)
                if self._fallback is not None:
                    self._fallback.start(self._on_polled)
        finally:
            if self._fallback is not None:
                await self._fallback.stop()

    async def _connection(self) -> str:
        """One connection from its opening to its end; returns why it ended."""
        self._decoder.restart()
        self._renewed_s.clear()
        self._ending = ""
        self._end.clear()
        make = direct_connection(self._on_frame, self._clock_ns, self._timer_ns)
        host = self.config.url.split("://")[-1].split("/")[0].rsplit(":", 1)[0]
        try:
            async with connect(
                self.config.url,
                create_connection=make,
                compression=None,
                max_size=None,  # a whole book of Coinbase is many megabytes
                open_timeout=self.config.open_timeout_s,
                close_timeout=1.0,
                ping_interval=self.config.ping_s,
                ping_timeout=self.config.ping_s,
                proxy=None if host in LOOPBACK_HOSTS else True,
            ) as socket:
                self._socket = socket
                self.stats.connects += 1
                self.stats.connected = True
                self._policy.opened(asyncio.get_running_loop().time())
                if self._tee is not None:
                    self._tee(self._clock_ns(), connected_marker(self.config.url), "")
                self._end_polling()
                for message in self._subscription.opening():
                    await socket.send(message)
                return await self._watch(socket)
        except (OSError, TimeoutError, WebSocketException) as exc:
            return f"{type(exc).__name__}: {exc}"
        finally:
            self.stats.connected = False
            self._socket = None

    async def _watch(self, socket: ClientConnection) -> str:
        """Wait for the end of the connection, or bring it about when it is silent, too old or has lost a message."""
        loop = asyncio.get_running_loop()
        closed = asyncio.create_task(socket.wait_closed())
        ended = asyncio.create_task(self._end.wait())
        try:
            while True:
                reason, patience_s = self._policy.verdict(loop.time())
                if reason:
                    return reason
                await asyncio.wait({closed, ended}, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    return self._ending
                if closed.done():
                    return f"closed by venue: {socket.close_code} {socket.close_reason or ''}".rstrip()
        finally:
            closed.cancel()
            ended.cancel()

    def _on_frame(self, raw: bytes, ts_recv: int, read_ns: int) -> None:
        """One message, in the read callback."""
        self.stats.frames += 1
        self._policy.heard(asyncio.get_running_loop().time())
        if self._tee is not None:
            self._tee(ts_recv, raw, "")
        if self._ending:
            return
        started_ns = self._timer_ns()
        try:
            events = self._decoder.decode(raw, ts_recv)
        except SequenceGap as exc:
            self.gaps += 1
            self._on_refused(exc)
            self._finish(str(exc))
            return
        except FrameError as exc:
            self.stats.refused += 1
            self._on_refused(exc)
            return
        times = FrameTimes(read_ns, started_ns, self._timer_ns())
        fresh = [one for one in events if type(one) is not Trade or self._bridge.streamed(one, times)]
        self.stats.duplicate_trades = self._bridge.duplicates
        if fresh:
            self._hand_over(fresh, times)

    def _hand_over(self, events: Sequence[MarketEvent], times: FrameTimes) -> None:
        for event in events:
            try:
                self._on_event(event, times)
            except Exception as exc:
                self._failure = exc
                self._finish("handler failed")
                raise
            if isinstance(event, BookDelta) and self._wants_snapshot(event.symbol):
                self._renew(event.symbol)

    def _end_polling(self) -> None:
        """The stream is back: what was polled has numbers of its own, which the stream's need not follow."""
        self._degraded = False
        if self._fallback is not None and self._fallback.cancel():
            self._announce("the stream is back")

    def _on_polled(self, event: MarketEvent) -> None:
        if not self._degraded:
            self._degraded = True
            self._announce(self._standing_in(), FeedState.STALE)
        if isinstance(event, Trade) and not self._bridge.polled([event]):
            return
        now_ns = self._timer_ns()
        self._hand_over((event,), FrameTimes(now_ns, now_ns, now_ns))

    def _standing_in(self) -> str:
        return f"degraded: polled by REST, the stream is away ({self.stats.last_disconnect})"

    def _finish(self, reason: str) -> None:
        self._ending = reason
        self._end.set()

    def _renew(self, symbol: str) -> None:
        """Ask for the book again; not twice while the answer may be on its way."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._renewed_s.get(symbol, float("-inf")) < self.config.renew_after_s or self._socket is None:
            return
        self._renewed_s[symbol] = now_s
        self.renewals += 1
        task = asyncio.create_task(self._send(self._socket, self._subscription.renewal(symbol)))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, socket: ClientConnection, messages: Sequence[str]) -> None:
        try:
            for message in messages:
                await socket.send(message)
        except WebSocketException as error:
            # The connection ends, and its end is noticed where it is watched.
            log.warning("subscription not renewed", error=str(error))

    def _announce_loss(self, reason: str) -> None:
        self.stats.last_disconnect = reason
        log.warning("market data connection lost", reason=reason, url=self.config.url)
        if self._fallback is not None and self._fallback.stands_in:
            self._announce(self._standing_in(), FeedState.STALE)
        else:
            self._announce(reason)

    def _announce(self, detail: str, state: FeedState = FeedState.CONNECTING) -> None:
        now_ns, timer_ns = self._clock_ns(), self._timer_ns()
        for symbol in self._subscription.symbols:
            status = FeedStatus(symbol=symbol, ts_event=now_ns, ts_recv=now_ns, state=state, detail=detail)
            self._on_event(status, FrameTimes(timer_ns, timer_ns, timer_ns))
