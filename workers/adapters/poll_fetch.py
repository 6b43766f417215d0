"""Best prices and newest trades of one instrument by REST, for ``polling``, venue by venue.

Polled prices are numbered by the time of their arrival: a venue's REST answers carry no number that its stream knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from workers.adapters.binance.grid import DecimalGrid, RestingGrid
from workers.adapters.frame_errors import FrameError
from workers.adapters.polling import Fetch
from workers.adapters.rest_reader import RestReader
from workers.adapters.wire_time import nanoseconds
from workers.engine.events import MarketEvent, TopOfBook, Trade
from workers.engine.instruments import GridError, Instrument
from workers.engine.market.quality import Rejection
from workers.engine.vocabulary import Side

Clock = Callable[[], int]
MS = 1_000_000
QUOTE_WEIGHT: Final = 2
TRADES_WEIGHT: Final = 25
BINANCE_WEIGHT: Final = QUOTE_WEIGHT + TRADES_WEIGHT
"""Request weight of one instrument's poll, whatever number of trades is asked for (Binance spot API)."""


class BinanceQuote(msgspec.Struct):
    bid: str = msgspec.field(name="bidPrice")
    bid_size: str = msgspec.field(name="bidQty")
    ask: str = msgspec.field(name="askPrice")
    ask_size: str = msgspec.field(name="askQty")


class BinanceTrade(msgspec.Struct):
    id: int
    price: str
    size: str = msgspec.field(name="qty")
    time: int
    buyer_is_maker: bool = msgspec.field(name="isBuyerMaker")


class Level(msgspec.Struct):
    price: str
    size: str


class PriceBook(msgspec.Struct):
    bids: list[Level]
    asks: list[Level]


class AdvancedBook(msgspec.Struct):
    pricebook: PriceBook


class CoinbaseTrade(msgspec.Struct):
    trade_id: int | str
    price: str
    size: str
    time: str
    side: str


class AdvancedTrades(msgspec.Struct):
    trades: list[CoinbaseTrade]


class ExchangeBook(msgspec.Struct):
    bids: list[tuple[str, str, int]]
    asks: list[tuple[str, str, int]]


class PolledMarket:
    """Grids of one instrument, and its events."""

    def __init__(self, instrument: Instrument) -> None:
        self.symbol = instrument.symbol
        self._ticks = DecimalGrid(instrument.tick, f"tick {instrument.tick} ({self.symbol})")
        self._lots = DecimalGrid(instrument.lot, f"lot {instrument.lot} ({self.symbol})")
        self._resting = RestingGrid(instrument.lot, f"lot {instrument.lot} ({self.symbol})")

    def top(self, bid: tuple[str, str], ask: tuple[str, str], at: int) -> TopOfBook:
        """Best prices with their quantities."""
        return TopOfBook(
            symbol=self.symbol,
            ts_event=at,
            ts_recv=at,
            update_id=at,
            bid=self._ticks[bid[0]],
            bid_lots=self._resting[bid[1]],
            ask=self._ticks[ask[0]],
            ask_lots=self._resting[ask[1]],
        )

    def trade(self, number: int, price: str, size: str, side: Side, *, at: int, recv: int) -> Trade:
        """One public trade."""
        return Trade(
            symbol=self.symbol,
            ts_event=at,
            ts_recv=recv,
            trade_id=number,
            price=self._ticks[price],
            lots=self._lots[size],
            aggressor=side,
        )


def fetch_of(venue: str, rest: RestReader, instruments: Iterable[Instrument], clock: Clock = time.time_ns) -> Fetch:
    """How ``venue`` is polled; ValueError for one that cannot be."""
    markets = {one.symbol: PolledMarket(one) for one in instruments}
    ask = {"coinbase": _advanced, "coinbaseexchange": _exchange, "paper": _binance, "binanceus": _binance}.get(venue)
    if ask is None:
        raise ValueError(f"expected a venue that can be polled, was {venue!r}")

    async def fetch(symbol: str) -> Sequence[MarketEvent]:
        try:
            return await ask(rest, markets[symbol], clock)
        except GridError as exc:
            raise FrameError(Rejection.OFF_GRID, symbol, str(exc)) from exc
        except (msgspec.DecodeError, ValueError) as exc:
            if isinstance(exc, FrameError):
                raise
            raise FrameError(Rejection.SCHEMA, symbol, str(exc)) from exc

    return fetch


async def _binance(rest: RestReader, market: PolledMarket, clock: Clock) -> list[MarketEvent]:
    name: Mapping[str, str] = {"symbol": market.symbol}
    quote = msgspec.json.decode(
        await rest.get("/api/v3/ticker/bookTicker", dict(name), QUOTE_WEIGHT), type=BinanceQuote
    )
    top = market.top((quote.bid, quote.bid_size), (quote.ask, quote.ask_size), clock())
    raw = await rest.get("/api/v3/trades", {**name, "limit": "1000"}, TRADES_WEIGHT)
    now = clock()
    return [
        top,
        *(
            market.trade(
                one.id,
                one.price,
                one.size,
                Side.SELL if one.buyer_is_maker else Side.BUY,
                at=one.time * MS,
                recv=now,
            )
            for one in msgspec.json.decode(raw, type=list[BinanceTrade])
        ),
    ]


async def _advanced(rest: RestReader, market: PolledMarket, clock: Clock) -> list[MarketEvent]:
    base = "/api/v3/brokerage/market"
    raw = await rest.get(f"{base}/product_book", {"product_id": market.symbol, "limit": "1"})
    book = msgspec.json.decode(raw, type=AdvancedBook).pricebook
    sides = [(side[0].price, side[0].size) for side in (book.bids, book.asks) if side]
    top = _both(market, sides, clock())
    raw = await rest.get(f"{base}/products/{market.symbol}/ticker", {"limit": "100"})
    return [*top, *_coinbase_trades(market, msgspec.json.decode(raw, type=AdvancedTrades).trades, clock())]


async def _exchange(rest: RestReader, market: PolledMarket, clock: Clock) -> list[MarketEvent]:
    raw = await rest.get(f"/products/{market.symbol}/book", {"level": "1"})
    book = msgspec.json.decode(raw, type=ExchangeBook)
    top = _both(market, [(side[0][0], side[0][1]) for side in (book.bids, book.asks) if side], clock())
    raw = await rest.get(f"/products/{market.symbol}/trades", {"limit": "100"})
    return [*top, *_coinbase_trades(market, msgspec.json.decode(raw, type=list[CoinbaseTrade]), clock())]


def _both(market: PolledMarket, sides: list[tuple[str, str]], at: int) -> list[TopOfBook]:
    """A quote needs both sides."""
    return [market.top(sides[0], sides[1], at)] if len(sides) == 2 else []


def _coinbase_trades(market: PolledMarket, trades: Iterable[CoinbaseTrade], now: int) -> list[Trade]:
    """``side`` is the maker's, as in the feeds."""
    return [
        market.trade(
            int(Decimal(one.trade_id)),
            one.price,
            one.size,
            Side.SELL if one.side.upper() == "BUY" else Side.BUY,
            at=nanoseconds(one.time),
            recv=now,
        )
        for one in trades
    ]
