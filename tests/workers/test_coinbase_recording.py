"""The book rebuilt from a recording of the Coinbase feed equals the recorded ticker wherever both tell one time."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.recordings import coinbase_products, cryptofeed_frames
from workers.adapters.coinbase.exchange_frames import ExchangeDecoder
from workers.engine.events import BookDelta, BookSnapshot, FeedStatus, MarketEvent, Trade
from workers.engine.instruments import Instrument
from workers.engine.market.book import OrderBook
from workers.engine.market.view import MarketView
from workers.engine.vocabulary import FeedState

PRODUCTS = [
    "SKL-USD",
    "SKL-BTC",
    "BAND-GBP",
    "NMR-EUR",
    "BAND-BTC",
    "YFI-BTC",
    "DASH-BTC",
    "NU-GBP",
    "CRV-EUR",
    "SKL-GBP",
]


@pytest.fixture(scope="module")
def folder(market_data: Path) -> Path:
    found = market_data / "recordings" / "coinbase"
    if not found.is_dir():
        pytest.skip(f"no recording in {found}")
    return found


@pytest.fixture(scope="module")
def frames(folder: Path) -> list[tuple[int, bytes]]:
    return list(cryptofeed_frames(folder / "COINBASE.ws.28.0"))


@pytest.fixture(scope="module")
def products(folder: Path) -> dict[str, Instrument]:
    return coinbase_products(folder, PRODUCTS)


def test_rebuilt_books_equal_the_ticker_of_the_same_time(
    frames: list[tuple[int, bytes]], products: dict[str, Instrument]
) -> None:
    decoder = ExchangeDecoder(products.values())
    books = {symbol: OrderBook() for symbol in products}
    counts = Counter[str]()
    for at, raw in frames:
        decoder.touch = None
        for event in decoder.decode(raw, at):
            counts[type(event).__name__] += 1
            if isinstance(event, BookSnapshot):
                books[event.symbol].load(event)
            elif isinstance(event, BookDelta):
                books[event.symbol].apply(event)
                counts["crossed"] += books[event.symbol].crossed
        if (touch := decoder.touch) is not None:
            book = books[touch.symbol]
            counts["compared"] += 1
            counts["equal"] += (book.bids.best(), book.asks.best(), book.last_id) == (
                touch.bid,
                touch.ask,
                touch.update_id,
            )
    assert counts == {
        "BookSnapshot": 10,
        "BookDelta": 9719,
        "Trade": 97,
        "crossed": 0,
        "compared": 97,
        "equal": 97,
    }
    assert decoder.missed_trades == 0
    for symbol, (bids, asks) in naive_books(frames).items():
        one = products[symbol]
        assert {one.price(p): one.quantity(q) for p, q in books[symbol].bids.lots.items()} == bids
        assert {one.price(p): one.quantity(q) for p, q in books[symbol].asks.lots.items()} == asks


Side = dict[Decimal, Decimal]


def naive_books(frames: list[tuple[int, bytes]]) -> dict[str, tuple[Side, Side]]:
    """The final books by plain JSON, Decimals and dictionaries."""
    books: dict[str, tuple[Side, Side]] = {}
    for _, raw in frames:
        message = json.loads(raw)
        if message["type"] == "snapshot":
            books[message["product_id"]] = (
                {Decimal(p): Decimal(q) for p, q in message["bids"]},
                {Decimal(p): Decimal(q) for p, q in message["asks"]},
            )
        elif message["type"] == "l2update":
            for side, price, quantity in message["changes"]:
                levels = books[message["product_id"]][side == "sell"]
                levels.pop(Decimal(price), None)
                if Decimal(quantity):
                    levels[Decimal(price)] = Decimal(quantity)
    return books


def test_views_go_live_and_refuse_nothing(frames: list[tuple[int, bytes]], products: dict[str, Instrument]) -> None:
    decoder = ExchangeDecoder(products.values())
    views = {symbol: MarketView(one) for symbol, one in products.items()}
    out: list[MarketEvent] = []
    for at, raw in frames:
        for event in decoder.decode(raw, at):
            out += views[event.symbol].on_event(event, at)
    assert {view.state for view in views.values()} == {FeedState.LIVE}
    assert [view.gate.counters for view in views.values() if view.gate.counters] == []
    assert sum(isinstance(one, Trade) for one in out) == 97
    assert sum(isinstance(one, FeedStatus) for one in out) == 10
