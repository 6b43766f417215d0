"""The older Coinbase Exchange feed (``coinbaseexchange``, once "Pro"): snapshot, l2update, match, ticker, heartbeat.

Source: Coinbase Exchange websocket channels.

**Loss.** Level 2 messages are not numbered; the venue promises to deliver them all. Two things can be checked: trades
count up by one per product (``match`` and the heartbeat's ``last_trade_id``), and a ``ticker`` shows the best prices
after the book change of the same time. Such a ticker is handed over with the book's own update id, so that the view
compares both and throws a book away that differs. A ticker of another time can be compared with nothing and is left
out.

**Books** come whole in the first message of a subscription; update ids are made here, one per message. A heartbeat is
handed over as an update of nothing: the connection delivers, so the book is as fresh as the heartbeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from workers.adapters.binance.frames import TextLevels
from workers.adapters.coinbase.frames import ProductDecoder
from workers.adapters.frame_errors import FrameError
from workers.adapters.wire_time import nanoseconds
from workers.engine.events import BookDelta, BookSnapshot, Level, MarketEvent, TopOfBook, Trade
from workers.engine.instruments import GridError, Instrument
from workers.engine.market.dedup import SeenTrades
from workers.engine.market.quality import Rejection
from workers.engine.vocabulary import Side


class Touch(NamedTuple):
    """Best prices in ticks that the venue says it had after the book change of the same time."""

    symbol: str
    bid: int
    ask: int
    update_id: int


class Message(msgspec.Struct, gc=False):
    """The union of the feed's messages."""

    type: str
    product_id: str = ""
    time: str = ""
    bids: TextLevels = []
    asks: TextLevels = []
    changes: list[tuple[str, str, str]] = []
    trade_id: int = 0
    last_trade_id: int = 0
    side: str = ""
    price: str = ""
    size: str = ""
    best_bid: str = ""
    best_bid_size: str = ""
    best_ask: str = ""
    best_ask_size: str = ""
    message: str = ""
    reason: str = ""


_decoder = msgspec.json.Decoder(Message)


class Product(ProductDecoder):
    """A product of this feed, with the time of its newest book change and its newest trade."""

    __slots__ = ("changed_at", "last_trade")

    def __init__(self, instrument: Instrument) -> None:
        super().__init__(instrument)
        self.changed_at = 0
        self.last_trade = 0


class ExchangeDecoder:
    """Decodes one connection; call ``restart`` for each new one. Raises FrameError."""

    def __init__(self, instruments: Iterable[Instrument], *, venue: str = "coinbaseexchange") -> None:
        self._products = {one.symbol: Product(one) for one in instruments}
        self.seen = SeenTrades(venue)
        self.heartbeats = 0
        self.missed_trades = 0
        """Trades that happened and were never sent."""
        self.touch: Touch | None = None
        """What the newest comparable ticker said."""

    def restart(self) -> None:
        """A new connection: its books come afresh, trades go on counting."""
        for product in self._products.values():
            product.changed_at = 0
            product.begun = False

    def decode(self, raw: bytes, ts_recv: int) -> Sequence[MarketEvent]:
        """Events of one message; none for acknowledgements and tickers that cannot be compared."""
        try:
            message = _decoder.decode(raw)
        except msgspec.DecodeError as exc:
            raise FrameError(Rejection.SCHEMA, "", f"{exc}: {raw[:80]!r}") from exc
        if message.type == "error":
            raise FrameError(Rejection.SCHEMA, "", f"venue answered with error {message.message} {message.reason}")
        if message.type == "subscriptions":
            return ()
        product = self._products.get(message.product_id)
        if product is None:
            raise FrameError(Rejection.UNKNOWN_SYMBOL, "", f"product {message.product_id!r:.40} was not asked for")
        try:
            return self._route(product, message, ts_recv)
        except GridError as exc:
            raise FrameError(Rejection.OFF_GRID, product.symbol, str(exc)) from exc
        except ValueError as exc:
            raise FrameError(Rejection.SCHEMA, product.symbol, str(exc)) from exc

    def _route(self, product: Product, message: Message, ts_recv: int) -> Sequence[MarketEvent]:
        match message.type:
            case "l2update":
                return (self._delta(product, message, ts_recv),)
            case "match":
                return self._trade(product, message, ts_recv)
            case "ticker":
                return self._ticker(product, message, ts_recv)
            case "snapshot":
                return (self._snapshot(product, message, ts_recv),)
            case "last_match":
                product.last_trade = max(product.last_trade, message.trade_id)
            case "heartbeat":
                self.heartbeats += 1
                self._expect_trade(product, message.last_trade_id + 1)
                if product.begun:
                    return (product.confirmation(nanoseconds(message.time), ts_recv),)
            case _:
                raise ValueError(f"unknown message type {message.type!r:.40}")
        return ()

    def _snapshot(self, product: Product, message: Message, ts_recv: int) -> BookSnapshot:
        """The whole book, which carries no time of its own."""
        # A book that is asked for again replaces none that is in sync: the updates after it must follow both.
        product.last_id = product.last_id or 1
        product.begun = True
        product.changed_at = 0
        ticks, lots = product.ticks, product.resting
        bids, asks = ([(ticks[p], lots[q]) for p, q in side] for side in (message.bids, message.asks))
        return BookSnapshot(
            symbol=product.symbol,
            ts_event=ts_recv,
            ts_recv=ts_recv,
            last_id=product.last_id,
            bids=tuple(bids),
            asks=tuple(asks),
        )

    def _delta(self, product: Product, message: Message, ts_recv: int) -> BookDelta:
        bids: list[Level] = []
        asks: list[Level] = []
        ticks, lots = product.ticks, product.resting
        for side, price, quantity in message.changes:
            if side not in ("buy", "sell"):
                raise ValueError(f"expected side buy or sell, was {side!r:.20}")
            (bids if side == "buy" else asks).append((ticks[price], lots[quantity]))
        product.changed_at = at = nanoseconds(message.time)
        product.last_id += 1
        return BookDelta(
            symbol=product.symbol,
            ts_event=at,
            ts_recv=ts_recv,
            first_id=product.last_id,
            last_id=product.last_id,
            bids=tuple(bids),
            asks=tuple(asks),
        )

    def _trade(self, product: Product, message: Message, ts_recv: int) -> Sequence[Trade]:
        """``side`` is the maker's: the taker did the opposite."""
        self._expect_trade(product, message.trade_id)
        product.last_trade = max(product.last_trade, message.trade_id)
        trade = Trade(
            symbol=product.symbol,
            ts_event=nanoseconds(message.time),
            ts_recv=ts_recv,
            trade_id=message.trade_id,
            price=product.ticks[message.price],
            lots=product.lots[message.size],
            aggressor=Side.SELL if message.side == "buy" else Side.BUY,
        )
        return (trade,) if self.seen.first(product.symbol, message.trade_id) else ()

    def _expect_trade(self, product: Product, next_id: int) -> None:
        if product.last_trade and next_id > product.last_trade + 1:
            self.missed_trades += next_id - product.last_trade - 1
            product.last_trade = next_id - 1

    def _ticker(self, product: Product, message: Message, ts_recv: int) -> Sequence[TopOfBook]:
        at = nanoseconds(message.time)
        if not product.changed_at or at != product.changed_at:
            return ()
        bid, ask = product.ticks[message.best_bid], product.ticks[message.best_ask]
        self.touch = Touch(product.symbol, bid, ask, product.last_id)
        if not (message.best_bid_size and message.best_ask_size):
            # The feed of 2021 tells no sizes: enough to compare with, too little for a quote.
            return ()
        return (
            TopOfBook(
                symbol=product.symbol,
                ts_event=at,
                ts_recv=ts_recv,
                update_id=product.last_id,
                bid=bid,
                bid_lots=product.resting[message.best_bid_size],
                ask=ask,
                ask_lots=product.resting[message.best_ask_size],
            ),
        )
