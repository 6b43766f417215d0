"""Binance spot market data: frames of the combined stream and REST answers, decoded to the engine's market events.

Source: Binance spot API documentation, web socket streams and market data endpoints. ``sessionStatus`` is the paper
venue's addition: a market that is replayed opens and ends.

A frame is routed by the stream name at its start, without parsing it twice, and then decoded by msgspec into one typed
Struct; prices and quantities go straight from text to integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import msgspec

from workers.adapters.binance.grid import DecimalGrid, RestingGrid
from workers.adapters.frame_errors import FrameError
from workers.engine.events import (
    Bar,
    BookDelta,
    BookSnapshot,
    FeedStatus,
    Level,
    MarketEvent,
    TopOfBook,
    Trade,
)
from workers.engine.instruments import GridError, Instrument
from workers.engine.market.quality import Rejection
from workers.engine.vocabulary import FeedState, Side

__all__ = ["FrameDecoder", "FrameError", "SymbolDecoder", "stream_name"]

NS_PER_MS: Final = 1_000_000
PREFIX: Final = b'{"stream":"'

DEPTH: Final = "depth@100ms"
BOOK_TICKER: Final = "bookTicker"
TRADE: Final = "trade"
SESSION_STATUS: Final = "sessionStatus"

TextLevels = list[tuple[str, str]]


class DepthUpdate(msgspec.Struct, gc=False):
    symbol: str = msgspec.field(name="s")
    event_ms: int = msgspec.field(name="E")
    first_id: int = msgspec.field(name="U")
    last_id: int = msgspec.field(name="u")
    bids: TextLevels = msgspec.field(name="b")
    asks: TextLevels = msgspec.field(name="a")


class BookTicker(msgspec.Struct, gc=False):
    """Spot frames carry no event time; some other markets' do."""

    symbol: str = msgspec.field(name="s")
    update_id: int = msgspec.field(name="u")
    bid: str = msgspec.field(name="b")
    bid_quantity: str = msgspec.field(name="B")
    ask: str = msgspec.field(name="a")
    ask_quantity: str = msgspec.field(name="A")
    event_ms: int = msgspec.field(name="E", default=0)


class TradeTick(msgspec.Struct, gc=False):
    symbol: str = msgspec.field(name="s")
    trade_id: int = msgspec.field(name="t")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    trade_ms: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")


class Candle(msgspec.Struct, gc=False):
    start_ms: int = msgspec.field(name="t")
    end_ms: int = msgspec.field(name="T")
    open: str = msgspec.field(name="o")
    high: str = msgspec.field(name="h")
    low: str = msgspec.field(name="l")
    close: str = msgspec.field(name="c")
    volume: str = msgspec.field(name="v")
    trades: int = msgspec.field(name="n")
    closed: bool = msgspec.field(name="x", default=True)


class KlineUpdate(msgspec.Struct, gc=False):
    symbol: str = msgspec.field(name="s")
    candle: Candle = msgspec.field(name="k")


class SessionStatus(msgspec.Struct, gc=False):
    symbol: str = msgspec.field(name="s")
    event_ms: int = msgspec.field(name="E")
    status: Literal["OPEN", "BREAK"]
    session_id: int = msgspec.field(name="sessionId")
    closes_at_ms: int = msgspec.field(name="closesAt", default=0)


class DepthFrame(msgspec.Struct, gc=False):
    data: DepthUpdate


class BookTickerFrame(msgspec.Struct, gc=False):
    data: BookTicker


class TradeFrame(msgspec.Struct, gc=False):
    data: TradeTick


class KlineFrame(msgspec.Struct, gc=False):
    data: KlineUpdate


class SessionStatusFrame(msgspec.Struct, gc=False):
    data: SessionStatus


class DepthSnapshot(msgspec.Struct, gc=False):
    last_id: int = msgspec.field(name="lastUpdateId")
    bids: TextLevels
    asks: TextLevels


class AnyFrame(msgspec.Struct):
    """Whatever else comes: an answer to a request has ``id``, a frame whose keys are in another order ``stream``."""

    stream: str = ""
    id: int | str | None = None
    result: Any = None
    error: Any = None


_depth = msgspec.json.Decoder(DepthFrame)
_ticker = msgspec.json.Decoder(BookTickerFrame)
_trade = msgspec.json.Decoder(TradeFrame)
_kline = msgspec.json.Decoder(KlineFrame)
_session = msgspec.json.Decoder(SessionStatusFrame)
_snapshot = msgspec.json.Decoder(DepthSnapshot)
_any = msgspec.json.Decoder(AnyFrame)

Route = Callable[[bytes, int], MarketEvent | None]


class SymbolDecoder:
    """Decodes the frames of one instrument. Raises FrameError."""

    def __init__(self, instrument: Instrument) -> None:
        self.symbol = instrument.symbol
        self._ticks = DecimalGrid(instrument.tick, f"tick {instrument.tick} ({self.symbol})")
        self._lots = DecimalGrid(instrument.lot, f"lot {instrument.lot} ({self.symbol})")
        self._resting = RestingGrid(instrument.lot, f"lot {instrument.lot} ({self.symbol})")

    def depth(self, raw: bytes, ts_recv: int) -> BookDelta:
        """A ``depth`` frame."""
        data = _depth.decode(raw).data
        if data.symbol != self.symbol:
            raise self._foreign(data.symbol)
        return BookDelta(
            symbol=self.symbol,
            ts_event=data.event_ms * NS_PER_MS,
            ts_recv=ts_recv,
            first_id=data.first_id,
            last_id=data.last_id,
            bids=self._levels(data.bids),
            asks=self._levels(data.asks),
        )

    def ticker(self, raw: bytes, ts_recv: int) -> TopOfBook:
        """A ``bookTicker`` frame; its event time is the receive time where the venue gives none."""
        data = _ticker.decode(raw).data
        if data.symbol != self.symbol:
            raise self._foreign(data.symbol)
        return TopOfBook(
            symbol=self.symbol,
            ts_event=data.event_ms * NS_PER_MS or ts_recv,
            ts_recv=ts_recv,
            update_id=data.update_id,
            bid=self._ticks[data.bid],
            bid_lots=self._resting[data.bid_quantity],
            ask=self._ticks[data.ask],
            ask_lots=self._resting[data.ask_quantity],
        )

    def trade(self, raw: bytes, ts_recv: int) -> Trade:
        """A ``trade`` frame."""
        data = _trade.decode(raw).data
        if data.symbol != self.symbol:
            raise self._foreign(data.symbol)
        return Trade(
            symbol=self.symbol,
            ts_event=data.trade_ms * NS_PER_MS,
            ts_recv=ts_recv,
            trade_id=data.trade_id,
            price=self._ticks[data.price],
            lots=self._lots[data.quantity],
            aggressor=Side.SELL if data.buyer_is_maker else Side.BUY,
        )

    def kline(self, raw: bytes, ts_recv: int) -> Bar | None:
        """A ``kline`` frame; None while its candle is open."""
        data = _kline.decode(raw).data
        if data.symbol != self.symbol:
            raise self._foreign(data.symbol)
        return self.bar(data.candle, ts_recv) if data.candle.closed else None

    def session(self, raw: bytes, ts_recv: int) -> FeedStatus:
        """A ``sessionStatus`` frame: LIVE for OPEN, BREAK for BREAK."""
        data = _session.decode(raw).data
        if data.symbol != self.symbol:
            raise self._foreign(data.symbol)
        is_open = data.status == "OPEN"
        return FeedStatus(
            symbol=self.symbol,
            ts_event=data.event_ms * NS_PER_MS,
            ts_recv=ts_recv,
            state=FeedState.LIVE if is_open else FeedState.BREAK,
            detail=f"session {data.session_id} {'open' if is_open else 'ended'}",
            session_id=data.session_id,
            closes_at=data.closes_at_ms * NS_PER_MS,
        )

    def snapshot(self, raw: bytes, ts_recv: int) -> BookSnapshot:
        """A REST depth answer, which carries no time of its own."""
        data = _snapshot.decode(raw)
        return BookSnapshot(
            symbol=self.symbol,
            ts_event=ts_recv,
            ts_recv=ts_recv,
            last_id=data.last_id,
            bids=self._levels(data.bids),
            asks=self._levels(data.asks),
        )

    def bar(self, candle: Candle, ts_recv: int) -> Bar:
        """A closed candle. The venue's end is inclusive in ms, a bar's is exclusive. Raises GridError."""
        ticks = self._ticks
        start, end = candle.start_ms * NS_PER_MS, (candle.end_ms + 1) * NS_PER_MS
        return Bar(
            symbol=self.symbol,
            ts_event=end,
            ts_recv=ts_recv,
            start=start,
            interval_ns=end - start,
            open=ticks[candle.open],
            high=ticks[candle.high],
            low=ticks[candle.low],
            close=ticks[candle.close],
            volume=self._lots[candle.volume],
            trades=candle.trades,
        )

    def _levels(self, levels: TextLevels) -> tuple[Level, ...]:
        ticks, lots = self._ticks, self._resting
        return tuple([(ticks[price], lots[quantity]) for price, quantity in levels])

    def _foreign(self, symbol: str) -> FrameError:
        return FrameError(Rejection.SCHEMA, self.symbol, f"frame of {symbol} in a stream of {self.symbol}")


class FrameDecoder:
    """Decodes a combined stream of several instruments, and their snapshots."""

    def __init__(self, instruments: Iterable[Instrument], kline_intervals: Iterable[str] = ()) -> None:
        self._symbols = {one.symbol: SymbolDecoder(one) for one in instruments}
        self._routes: dict[bytes, tuple[str, Route]] = {}
        for symbol, decoder in self._symbols.items():
            routes: dict[str, Route] = {
                DEPTH: decoder.depth,
                "depth": decoder.depth,
                BOOK_TICKER: decoder.ticker,
                TRADE: decoder.trade,
                SESSION_STATUS: decoder.session,
                **{f"kline_{interval}": decoder.kline for interval in kline_intervals},
            }
            for kind, route in routes.items():
                self._routes[stream_name(symbol, kind).encode()] = (symbol, route)

    def decode(self, raw: bytes, ts_recv: int) -> MarketEvent | None:
        """One frame as an event; None for an answer to a request or an open candle. Raises FrameError.

        Raises FrameError for everything that is not exactly a known frame of a known instrument.
        """
        found = self._routes.get(raw[11 : raw.find(b'"', 11)]) if raw.startswith(PREFIX) else None
        if found is None:
            found = self._route_slowly(raw)
            if found is None:
                return None
        symbol, route = found
        try:
            return route(raw, ts_recv)
        except (msgspec.DecodeError, GridError) as exc:
            raise _as_frame_error(exc, symbol) from exc

    def snapshot(self, symbol: str, raw: bytes, ts_recv: int) -> BookSnapshot:
        """A REST depth answer for ``symbol``. Raises FrameError, and KeyError for an unknown symbol."""
        decoder = self._symbols[symbol]
        try:
            return decoder.snapshot(raw, ts_recv)
        except (msgspec.DecodeError, GridError) as exc:
            raise _as_frame_error(exc, symbol) from exc

    def _route_slowly(self, raw: bytes) -> tuple[str, Route] | None:
        try:
            frame = _any.decode(raw)
        except msgspec.DecodeError as exc:
            raise FrameError(Rejection.SCHEMA, "", f"{exc}: {raw[:80]!r}") from exc
        if frame.error is not None:
            raise FrameError(Rejection.SCHEMA, "", f"venue answered with error {frame.error!r:.200}")
        if not frame.stream:
            if frame.id is not None:
                return None
            raise FrameError(Rejection.SCHEMA, "", f"frame without stream name: {raw[:80]!r}")
        found = self._routes.get(frame.stream.encode())
        if found is None:
            raise FrameError(Rejection.UNKNOWN_SYMBOL, "", f"stream {frame.stream[:80]!r} was not asked for")
        return found


def stream_name(symbol: str, kind: str) -> str:
    """Name of a stream on the wire, ``btcusdt@depth@100ms``."""
    return f"{symbol.lower()}@{kind}"


def _as_frame_error(exc: Exception, symbol: str) -> FrameError:
    reason = Rejection.OFF_GRID if isinstance(exc, GridError) else Rejection.SCHEMA
    return FrameError(reason, symbol, str(exc))
