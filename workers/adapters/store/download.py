"""Candles of a venue into the store, page by page, exactly as the venue writes them.

A venue may leave out candles in which nothing traded; they stay out, and ``check`` tells them. The candle that is
still open is never taken. Repeating a download changes nothing; a candle that the venue has revised is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Final

import msgspec

from workers.adapters.feeds import BINANCE_LIKE, Endpoints, FeedProblem
from workers.adapters.rest_reader import RestError, RestReader
from workers.adapters.store.importer import Row, on_grid
from workers.adapters.store.parquet_store import Advance, SeriesKey, Store, Written
from workers.adapters.store.schema import SECOND_NS, Kind, interval_ns
from workers.adapters.wire_time import nanoseconds, rfc3339
from workers.engine.market.venues import rules_of

MS: Final = 1_000_000
Page = Callable[[int, int], Awaitable[list[Row]]]
"""Candles that start within ``[from, to)`` ns, in any order."""

GRANULARITIES: Final = {
    "1m": "ONE_MINUTE",
    "5m": "FIVE_MINUTE",
    "15m": "FIFTEEN_MINUTE",
    "30m": "THIRTY_MINUTE",
    "1h": "ONE_HOUR",
    "2h": "TWO_HOUR",
    "1d": "ONE_DAY",
}
OANDA_GRANULARITIES: Final = {
    "5s": "S5",
    "1m": "M1",
    "5m": "M5",
    "15m": "M15",
    "30m": "M30",
    "1h": "H1",
    "4h": "H4",
    "1d": "D",
}


class Candle(msgspec.Struct):
    """One of Coinbase Advanced Trade's."""

    start: str
    low: Decimal
    high: Decimal
    open: Decimal
    close: Decimal
    volume: Decimal


class Candles(msgspec.Struct):
    candles: list[Candle]


class OandaPrices(msgspec.Struct):
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 - OANDA's name
    c: Decimal


class OandaCandle(msgspec.Struct):
    time: str
    complete: bool
    volume: int
    mid: OandaPrices


class OandaCandles(msgspec.Struct):
    candles: list[OandaCandle]


async def download(
    store: Store,
    key: SeriesKey,
    where: Endpoints,
    *,
    start_ns: int,
    end_ns: int,
    token: str = "",
    replace: bool = False,
    advance: Advance | None = None,
) -> Written:
    """Bars of the series ``key`` that start within ``[start_ns, end_ns)``; ``end_ns`` must not be in the future.

    Raises FeedProblem when the venue has no such candles or does not answer, and StoreError for a contradiction.
    """
    venue, symbol, interval = key.venue, key.instrument, key.interval
    length = interval_ns(interval)
    rules = rules_of(venue)
    headers = {"Authorization": f"Bearer {token}"} if token else None
    rate = rules.rate
    async with RestReader(where.rest, weight_limit=rate.limit, window_s=rate.window_s, headers=headers) as rest:
        page, most = _pages(rest, venue, symbol, interval)
        total, step = Written(0, 0, 0, 0), most * length
        at = start_ns - start_ns % length
        pages = max(1, -(-(end_ns - at) // step))
        for number in range(pages):
            first, last = at + number * step, min(at + (number + 1) * step, end_ns)
            try:
                rows = [row for row in await page(first, last) if first <= row[0] and row[0] + length <= end_ns]
            except (RestError, msgspec.DecodeError, ValueError) as error:
                raise FeedProblem(f"candles of {symbol} from {where.rest}: {error}") from error
            if rows:
                arrays, grid, _ = on_grid(Kind.BARS, sorted(rows), f"{venue} {symbol}")
                done = store.write(key, arrays, grid, replace=replace)
                total = Written(*(a + b for a, b in zip(total, done, strict=True)))
            if advance is not None:
                advance(number + 1, pages)
    return total


def _pages(rest: RestReader, venue: str, symbol: str, interval: str) -> tuple[Page, int]:
    """How a venue is asked, and for how many candles at once."""
    if venue in BINANCE_LIKE:
        return _binance(rest, symbol, interval), 1000
    if venue == "coinbase":
        return _advanced(rest, symbol, _named(GRANULARITIES, interval, venue)), 300
    if venue == "coinbaseexchange":
        return _exchange(rest, symbol, interval_ns(interval) // SECOND_NS), 300
    if venue == "oanda":
        return _oanda(rest, symbol, _named(OANDA_GRANULARITIES, interval, venue)), 2000
    raise FeedProblem(f"expected a venue among {', '.join((*BINANCE_LIKE, 'coinbase', 'coinbaseexchange', 'oanda'))}")


def _named(names: dict[str, str], interval: str, venue: str) -> str:
    if interval not in names:
        raise FeedProblem(f"expected an interval of {venue} among {', '.join(names)}, was {interval!r}")
    return names[interval]


def _binance(rest: RestReader, symbol: str, interval: str) -> Page:
    async def page(first: int, last: int) -> list[Row]:
        params = {"symbol": symbol, "interval": interval, "limit": "1000"}
        params |= {"startTime": str(first // MS), "endTime": str(last // MS - 1)}
        found = msgspec.json.decode(await rest.get("/api/v3/klines", params, 2), type=list[list[str | int]])
        return [[int(one[0]) * MS, *(Decimal(text) for text in one[1:6]), int(one[8])] for one in found]

    return page


def _advanced(rest: RestReader, symbol: str, granularity: str) -> Page:
    async def page(first: int, last: int) -> list[Row]:
        params = {"granularity": granularity, "limit": "350"}
        params |= {"start": str(first // SECOND_NS), "end": str(last // SECOND_NS - 1)}
        raw = await rest.get(f"/api/v3/brokerage/market/products/{symbol}/candles", params)
        found = msgspec.json.decode(raw, type=Candles).candles
        return [[int(c.start) * SECOND_NS, c.open, c.high, c.low, c.close, c.volume, 0] for c in found]

    return page


def _exchange(rest: RestReader, symbol: str, seconds: int) -> Page:
    async def page(first: int, last: int) -> list[Row]:
        params = {"granularity": str(seconds), "start": rfc3339(first), "end": rfc3339(last - 1)}
        raw = await rest.get(f"/products/{symbol}/candles", params)
        # JSON numbers, read as the decimals that they are written as: time, low, high, open, close, volume.
        found = msgspec.json.decode(raw, type=list[tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal]])
        return [[at * SECOND_NS, opened, high, low, close, volume, 0] for at, low, high, opened, close, volume in found]

    return page


def _oanda(rest: RestReader, symbol: str, granularity: str) -> Page:
    async def page(first: int, last: int) -> list[Row]:
        params = {"granularity": granularity, "price": "M", "from": rfc3339(first), "to": rfc3339(last)}
        raw = await rest.get(f"/v3/instruments/{symbol}/candles", params)
        found = [one for one in msgspec.json.decode(raw, type=OandaCandles).candles if one.complete]
        return [[nanoseconds(c.time), c.mid.o, c.mid.h, c.mid.l, c.mid.c, Decimal(0), c.volume] for c in found]

    return page
