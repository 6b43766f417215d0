"""Short ways to write market events in tests, and the recordings line by line."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from workers.engine.events import BookDelta, BookSnapshot, FeedStatus, Level, TopOfBook, Trade
from workers.engine.instruments import Instrument
from workers.engine.vocabulary import FeedState, Side

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def make_instrument(symbol: str = "BTCUSDT", tick: str = "0.01", lot: str = "0.00001") -> Instrument:
    return Instrument(
        venue="paper",
        symbol=symbol,
        base=symbol[:3],
        quote=symbol[3:],
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_lots=1,
        max_lots=10**9,
        min_notional=Decimal(5),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.001"),
    )


def snapshot(
    last_id: int, bids: tuple[Level, ...] = ((100, 5),), asks: tuple[Level, ...] = ((102, 5),), at: int = START
) -> BookSnapshot:
    return BookSnapshot(symbol="BTCUSDT", ts_event=at, ts_recv=at, last_id=last_id, bids=bids, asks=asks)


def delta(
    first_id: int, last_id: int, bids: tuple[Level, ...] = (), asks: tuple[Level, ...] = (), at: int = START
) -> BookDelta:
    return BookDelta(
        symbol="BTCUSDT", ts_event=at, ts_recv=at, first_id=first_id, last_id=last_id, bids=bids, asks=asks
    )


def top(
    update_id: int, bid: int = 10_000, ask: int = 10_002, bid_lots: int = 5, ask_lots: int = 5, at: int = START
) -> TopOfBook:
    return TopOfBook(
        symbol="BTCUSDT",
        ts_event=at,
        ts_recv=at,
        update_id=update_id,
        bid=bid,
        bid_lots=bid_lots,
        ask=ask,
        ask_lots=ask_lots,
    )


def trade(trade_id: int, price: int = 10_001, lots: int = 1, at: int = START, recv: int | None = None) -> Trade:
    return Trade(
        symbol="BTCUSDT",
        ts_event=at,
        ts_recv=at if recv is None else recv,
        trade_id=trade_id,
        price=price,
        lots=lots,
        aggressor=Side.BUY,
    )


def status(state: FeedState, session_id: int = 0, closes_at: int = 0, detail: str = "", at: int = START) -> FeedStatus:
    return FeedStatus(
        symbol="BTCUSDT",
        ts_event=at,
        ts_recv=at,
        state=state,
        detail=detail,
        session_id=session_id,
        closes_at=closes_at,
    )


def recorded_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """``(receive time in ns, raw JSON)`` of every line of a recording."""
    with gzip.open(path) as lines:
        for line in lines:
            stamp, raw = line.rstrip(b"\n").split(b" ", 1)
            yield int(stamp), raw
