"""Coinbase Advanced Trade market data: websocket frames decoded to the engine's market events.

Source: Coinbase Advanced Trade API, websocket channels ``level2`` (messages say ``l2_data``), ``market_trades``,
``ticker`` and ``heartbeats``.

**Loss.** Every message of a connection carries the next ``sequence_num``, whatever its channel or product, so a missing
number may belong to any book: ``SequenceGap`` voids them all. As every message is accounted for, the engine's own
update ids, which must follow each other per instrument, are made here: an update begins where the one before ended.

**Books** come whole in the first message of a subscription, over the same connection; no REST snapshot is needed. A
heartbeat says that nothing was lost until its time, so that a book which does not change is as fresh as one that does:
it is handed over as an update of nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from workers.adapters.binance.grid import DecimalGrid, RestingGrid
from workers.adapters.frame_errors import FrameError, SequenceGap
from workers.adapters.wire_time import nanoseconds
from workers.engine.events import BookDelta, BookSnapshot, Level, MarketEvent, TopOfBook, Trade
from workers.engine.instruments import GridError, Instrument
from workers.engine.market.dedup import SeenTrades
from workers.engine.market.quality import Rejection
from workers.engine.vocabulary import Side

LEVEL2: Final = "level2"
MARKET_TRADES: Final = "market_trades"
TICKER: Final = "ticker"
HEARTBEATS: Final = "heartbeats"

BIDS: Final = frozenset({"bid"})
ASKS: Final = frozenset({"offer", "ask"})


class Update(msgspec.Struct, gc=False):
    side: str
    price: str = msgspec.field(name="price_level")
    quantity: str = msgspec.field(name="new_quantity")


class TradeTick(msgspec.Struct, gc=False):
    trade_id: str
    product_id: str
    price: str
    size: str
    side: str
    """Of the maker, as the channel says it: a taker that sold is BUY."""
    time: str


class TickerTick(msgspec.Struct, gc=False):
    product_id: str
    best_bid: str = ""
    best_bid_quantity: str = ""
    best_ask: str = ""
    best_ask_quantity: str = ""


class Event(msgspec.Struct, gc=False):
    """The union of the channels' events: only the field of its channel is filled."""

    type: str = ""
    product_id: str = ""
    updates: list[Update] = []
    trades: list[TradeTick] = []
    tickers: list[TickerTick] = []
    heartbeat_counter: int | str = 0


class Message(msgspec.Struct, gc=False):
    channel: str = ""
    sequence_num: int = -1
    timestamp: str = ""
    events: list[Event] = []
    type: str = ""
    message: str = ""


_decoder = msgspec.json.Decoder(Message)


class ProductDecoder:
    """Grids and the sequence of one product."""

    __slots__ = ("begun", "last_id", "lots", "resting", "symbol", "ticks")

    def __init__(self, instrument: Instrument) -> None:
        self.symbol = instrument.symbol
        self.ticks = DecimalGrid(instrument.tick, f"tick {instrument.tick} ({self.symbol})")
        self.lots = DecimalGrid(instrument.lot, f"lot {instrument.lot} ({self.symbol})")
        self.resting = RestingGrid(instrument.lot, f"lot {instrument.lot} ({self.symbol})")
        self.last_id = 0
        self.begun = False
        """Its book has come on this connection."""

    def confirmation(self, at: int, ts_recv: int) -> BookDelta:
        """An update of nothing at the venue's time ``at``."""
        self.last_id += 1
        number = self.last_id
        return BookDelta(
            symbol=self.symbol, ts_event=at, ts_recv=ts_recv, first_id=number, last_id=number, bids=(), asks=()
        )

    def sides(self, updates: Iterable[Update]) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Bids and asks of one message; FrameError for a side that is neither."""
        bids: list[Level] = []
        asks: list[Level] = []
        ticks, lots = self.ticks, self.resting
        for one in updates:
            level = (ticks[one.price], lots[one.quantity])
            if one.side in BIDS:
                bids.append(level)
            elif one.side in ASKS:
                asks.append(level)
            else:
                raise FrameError(Rejection.SCHEMA, self.symbol, f"expected side bid or offer, was {one.side!r:.20}")
        return tuple(bids), tuple(asks)


class AdvancedTradeDecoder:
    """Decodes one connection; call ``restart`` for each new one. Raises FrameError, and SequenceGap on loss."""

    def __init__(self, instruments: Iterable[Instrument], *, venue: str = "coinbase", quotes: bool = False) -> None:
        """``quotes``: take best prices from the ticker; for a connection without books."""
        self._products = {one.symbol: ProductDecoder(one) for one in instruments}
        self._quotes = quotes
        self._expected = -1
        self.seen = SeenTrades(venue)
        self.heartbeats = 0

    def restart(self) -> None:
        """A new connection counts from its own beginning. Which trades were seen stays known."""
        self._expected = -1
        for product in self._products.values():
            product.begun = False

    def decode(self, raw: bytes, ts_recv: int) -> Sequence[MarketEvent]:
        """Events of one message, in order; none for acknowledgements."""
        try:
            message = _decoder.decode(raw)
        except msgspec.DecodeError as exc:
            raise FrameError(Rejection.SCHEMA, "", f"{exc}: {raw[:80]!r}") from exc
        if message.type == "error":
            raise FrameError(Rejection.SCHEMA, "", f"venue answered with error {message.message!r:.200}")
        self._count(message.sequence_num)
        symbol = message.events[0].product_id if message.events else ""
        try:
            return self._route(message, ts_recv)
        except GridError as exc:
            raise FrameError(Rejection.OFF_GRID, symbol, str(exc)) from exc
        except ValueError as exc:
            if isinstance(exc, FrameError):
                raise
            raise FrameError(Rejection.SCHEMA, symbol, str(exc)) from exc

    def _count(self, number: int) -> None:
        expected = self._expected
        if number < 0:
            raise FrameError(Rejection.SCHEMA, "", "message without sequence_num")
        self._expected = number + 1
        if expected >= 0 and number != expected:
            raise SequenceGap(f"expected message {expected} of the connection, was {number}")

    def _route(self, message: Message, ts_recv: int) -> Sequence[MarketEvent]:
        channel = message.channel
        if channel == "l2_data":
            at = nanoseconds(message.timestamp)
            return [self._book(event, message.sequence_num, at, ts_recv) for event in message.events]
        if channel == MARKET_TRADES:
            return self._trades(message.events, ts_recv)
        if channel == TICKER and self._quotes:
            at = nanoseconds(message.timestamp)
            ticks = [one for event in message.events for one in event.tickers if one.best_bid and one.best_ask]
            return [self._quote(one, message.sequence_num, at, ts_recv) for one in ticks]
        if channel == HEARTBEATS:
            self.heartbeats += 1
            at = nanoseconds(message.timestamp)
            return [one.confirmation(at, ts_recv) for one in self._products.values() if one.begun]
        if channel not in ("subscriptions", TICKER):
            raise FrameError(Rejection.UNKNOWN_SYMBOL, "", f"channel {channel!r:.40} was not asked for")
        return ()

    def _book(self, event: Event, number: int, at: int, ts_recv: int) -> BookSnapshot | BookDelta:
        product = self._product(event.product_id)
        bids, asks = product.sides(event.updates)
        if event.type == "snapshot":
            # A book that is asked for again replaces none that is in sync: the updates after it must follow both.
            product.last_id = last_id = product.last_id or number + 1
            product.begun = True
            return BookSnapshot(
                symbol=product.symbol, ts_event=at, ts_recv=ts_recv, last_id=last_id, bids=bids, asks=asks
            )
        if event.type != "update":
            raise FrameError(Rejection.SCHEMA, product.symbol, f"expected snapshot or update, was {event.type!r:.20}")
        first_id = product.last_id + 1
        product.last_id = last_id = max(number + 1, first_id)
        return BookDelta(
            symbol=product.symbol,
            ts_event=at,
            ts_recv=ts_recv,
            first_id=first_id,
            last_id=last_id,
            bids=bids,
            asks=asks,
        )

    def _trades(self, events: Iterable[Event], ts_recv: int) -> list[Trade]:
        """New trades, oldest first. The first message of a subscription repeats old ones: they are only remembered."""
        found: list[Trade] = []
        for event in events:
            fresh = self.seen.fresh(self._trade(one, ts_recv) for one in event.trades)
            if event.type != "snapshot":
                found += fresh
        return found

    def _trade(self, tick: TradeTick, ts_recv: int) -> Trade:
        product = self._product(tick.product_id)
        return Trade(
            symbol=product.symbol,
            ts_event=nanoseconds(tick.time),
            ts_recv=ts_recv,
            trade_id=int(tick.trade_id),
            price=product.ticks[tick.price],
            lots=product.lots[tick.size],
            aggressor=Side.SELL if tick.side == "BUY" else Side.BUY,
        )

    def _quote(self, tick: TickerTick, number: int, at: int, ts_recv: int) -> TopOfBook:
        product = self._product(tick.product_id)
        return TopOfBook(
            symbol=product.symbol,
            ts_event=at,
            ts_recv=ts_recv,
            update_id=number + 1,
            bid=product.ticks[tick.best_bid],
            bid_lots=product.resting[tick.best_bid_quantity],
            ask=product.ticks[tick.best_ask],
            ask_lots=product.resting[tick.best_ask_quantity],
        )

    def _product(self, product_id: str) -> ProductDecoder:
        found = self._products.get(product_id)
        if found is None:
            raise FrameError(Rejection.UNKNOWN_SYMBOL, "", f"product {product_id!r:.40} was not asked for")
        return found
