"""OANDA's pricing stream: lines of JSON over one endless HTTP answer, as best bids and asks.

Each line is complete in itself and prices are throttled by the venue, so nothing is lost that matters; a heartbeat
comes every five seconds and says that no price has changed since: the last ones are told again with its time. A price
that is not ``tradeable`` means that the market is closed (BREAK). The view of such a feed has ``needs_book=False``.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote as percent

import httpx
import msgspec
import structlog

from workers.adapters.binance.grid import DecimalGrid, RestingGrid
from workers.adapters.binance.market_client import ClientStats, EventHandler, FrameTimes, Tee
from workers.adapters.frame_errors import FrameError
from workers.adapters.oanda.messages import Price, Prices
from workers.adapters.polling import Fetch, Poller
from workers.adapters.rest_reader import LOOPBACK_HOSTS, RestReader
from workers.adapters.wire_time import nanoseconds
from workers.engine.events import FeedStatus, MarketEvent, TopOfBook
from workers.engine.instruments import GridError, Instrument
from workers.engine.market.quality import Rejection
from workers.engine.market.reconnect import ReconnectConfig, ReconnectPolicy
from workers.engine.vocabulary import FeedState

log = structlog.get_logger(__name__)

HEARTBEAT = "HEARTBEAT"
_decoder = msgspec.json.Decoder(Price)


class OandaDecoder:
    """Lines of the stream to events. Raises FrameError."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._grids = {
            one.symbol: (
                DecimalGrid(one.tick, f"tick {one.tick} ({one.symbol})"),
                RestingGrid(one.lot, f"lot {one.lot} ({one.symbol})"),
            )
            for one in instruments
        }
        self._closed = dict.fromkeys(self._grids, False)
        self._quotes: dict[str, TopOfBook] = {}
        """Newest prices of open markets on this connection."""
        self.heartbeats = 0

    def restart(self) -> None:
        """Whether a market is open is told anew by a new connection, as are all prices."""
        self._closed = dict.fromkeys(self._grids, False)
        self._quotes.clear()

    def decode(self, raw: bytes, ts_recv: int) -> list[MarketEvent]:
        """A price, with the change of the market's state before it; a heartbeat confirms what is known."""
        try:
            price = _decoder.decode(raw)
        except msgspec.DecodeError as exc:
            raise FrameError(Rejection.SCHEMA, "", f"{exc}: {raw[:80]!r}") from exc
        if price.type == HEARTBEAT:
            self.heartbeats += 1
            return self._confirmed(price.time, ts_recv)
        grids = self._grids.get(price.instrument)
        if grids is None:
            raise FrameError(Rejection.UNKNOWN_SYMBOL, "", f"instrument {price.instrument!r:.40} was not asked for")
        try:
            return self._events(price, grids, ts_recv)
        except GridError as exc:
            raise FrameError(Rejection.OFF_GRID, price.instrument, str(exc)) from exc
        except ValueError as exc:
            raise FrameError(Rejection.SCHEMA, price.instrument, str(exc)) from exc

    def _confirmed(self, time_text: str, ts_recv: int) -> list[MarketEvent]:
        try:
            at = nanoseconds(time_text)
        except ValueError as exc:
            raise FrameError(Rejection.SCHEMA, "", str(exc)) from exc
        for symbol, quote in self._quotes.items():
            if at > quote.update_id:
                confirmed = msgspec.structs.replace(quote, ts_event=at, ts_recv=ts_recv, update_id=at)
                self._quotes[symbol] = confirmed
        return [quote for quote in self._quotes.values() if quote.update_id == at]

    def _events(self, price: Price, grids: tuple[DecimalGrid, RestingGrid], ts_recv: int) -> list[MarketEvent]:
        symbol, at = price.instrument, nanoseconds(price.time)
        events: list[MarketEvent] = []
        if self._closed[symbol] is price.tradeable:
            self._closed[symbol] = not price.tradeable
            state = FeedState.LIVE if price.tradeable else FeedState.BREAK
            detail = f"market {'open' if price.tradeable else 'closed'}"
            events.append(FeedStatus(symbol=symbol, ts_event=at, ts_recv=ts_recv, state=state, detail=detail))
        self._quotes.pop(symbol, None)
        if price.tradeable and price.bids and price.asks:
            ticks, lots = grids
            bid, ask = price.bids[0], price.asks[0]
            quote = TopOfBook(
                symbol=symbol,
                ts_event=at,
                ts_recv=ts_recv,
                update_id=at,
                bid=ticks[bid.price],
                bid_lots=lots[f"{bid.liquidity:f}"],
                ask=ticks[ask.price],
                ask_lots=lots[f"{ask.liquidity:f}"],
            )
            self._quotes[symbol] = quote
            events.append(quote)
        return events


class OandaStream:
    """Follows the prices of one account's instruments, reconnecting for ever; ``run`` once."""

    def __init__(
        self,
        token: str,
        account: str,
        instruments: Iterable[Instrument],
        *,
        url: str,
        on_event: EventHandler,
        on_refused: Callable[[FrameError], None],
        tee: Tee | None = None,
        fallback: Poller | None = None,
        patience: ReconnectConfig | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        timer_ns: Callable[[], int] = time.perf_counter_ns,
        rng: random.Random | None = None,
    ) -> None:
        listed = list(instruments)
        names = ",".join(one.symbol for one in listed)
        self._url = f"{url.rstrip('/')}/v3/accounts/{percent(account, safe='')}/pricing/stream"
        self._query = {"instruments": names}
        self._headers = {"Authorization": f"Bearer {token}", "Accept-Datetime-Format": "RFC3339"}
        self._symbols = [one.symbol for one in listed]
        self._decoder = OandaDecoder(listed)
        self._on_event = on_event
        self._on_refused = on_refused
        self._tee = tee
        self._fallback = fallback
        # Heartbeats come every five seconds: three missed ones mean a dead connection.
        self._patience = patience or ReconnectConfig(good_messages=5, silence_s=15.0)
        self._policy = ReconnectPolicy(rng or random.Random(), self._patience)  # noqa: S311  # jitter, not a secret
        self._clock_ns = clock_ns
        self._timer_ns = timer_ns
        self.stats = ClientStats()

    async def run(self) -> None:
        """Stay connected until cancelled. Raises what ``on_event`` raised."""
        local = httpx.URL(self._url).host in LOOPBACK_HOSTS
        timeout = httpx.Timeout(10.0, read=self._patience.silence_s)
        try:
            async with httpx.AsyncClient(timeout=timeout, trust_env=not local, headers=self._headers) as http:
                while True:
                    await asyncio.sleep(self._policy.next_delay())
                    reason = await self._connection(http)
                    self.stats.last_disconnect = reason
                    log.warning("pricing stream lost", reason=reason)
                    if self.stats.connected:
                        # An attempt that failed ends nothing: polled prices go on.
                        self.stats.connected = False
                        self._announce(reason)
                    if self._fallback is not None:
                        self._fallback.start(self._hand_over)
        finally:
            if self._fallback is not None:
                await self._fallback.stop()

    def _announce(self, reason: str) -> None:
        now_ns = self._clock_ns()
        for symbol in self._symbols:
            status = FeedStatus(
                symbol=symbol, ts_event=now_ns, ts_recv=now_ns, state=FeedState.CONNECTING, detail=reason
            )
            self._hand_over(status)

    def _hand_over(self, event: MarketEvent) -> None:
        timer_ns = self._timer_ns()
        self._on_event(event, FrameTimes(timer_ns, timer_ns, timer_ns))

    async def _connection(self, http: httpx.AsyncClient) -> str:
        self._decoder.restart()
        loop = asyncio.get_running_loop()
        try:
            async with http.stream("GET", self._url, params=self._query) as response:
                if response.status_code != httpx.codes.OK:
                    return f"HTTP {response.status_code}: {(await response.aread())[:200]!r}"
                self.stats.connects += 1
                self.stats.connected = True
                self._policy.opened(loop.time())
                if self._fallback is not None and self._fallback.cancel():
                    self._announce("the stream is back")
                async for line in response.aiter_lines():
                    self._take(line.encode())
                    self._policy.heard(loop.time())
                    reason, _ = self._policy.verdict(loop.time())
                    if reason:
                        return reason
        except httpx.ReadTimeout:
            return f"silent for {self._patience.silence_s:g} s"
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        return "closed by venue"

    def _take(self, raw: bytes) -> None:
        if not raw:
            return
        read_ns, ts_recv = self._timer_ns(), self._clock_ns()
        self.stats.frames += 1
        if self._tee is not None:
            self._tee(ts_recv, raw, "")
        try:
            events = self._decoder.decode(raw, ts_recv)
        except FrameError as exc:
            self.stats.refused += 1
            self._on_refused(exc)
            return
        times = FrameTimes(read_ns, read_ns, self._timer_ns())
        for event in events:
            self._on_event(event, times)


def price_fetch(rest: RestReader, account: str, instruments: Iterable[Instrument], clock: Callable[[], int]) -> Fetch:
    """How prices are asked for by REST while the stream is away: each answer is as complete as a line of the stream.

    ``rest`` carries the token.
    """
    listed = list(instruments)
    decoders = {one.symbol: OandaDecoder([one]) for one in listed}
    path = f"/v3/accounts/{percent(account, safe='')}/pricing"

    async def fetch(symbol: str) -> Sequence[MarketEvent]:
        raw = await rest.get(path, {"instruments": symbol})
        try:
            answer = msgspec.json.decode(raw, type=Prices)
        except msgspec.DecodeError as exc:
            raise FrameError(Rejection.SCHEMA, symbol, str(exc)) from exc
        now = clock()
        return [event for price in answer.prices for event in decoders[symbol].decode(bytes(price), now)]

    return fetch
