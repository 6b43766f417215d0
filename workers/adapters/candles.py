"""Candles of the venues that are spoken to natively, by REST: page by page for the store, the newest for warming."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from workers.adapters.rest_reader import RestReader
from workers.adapters.wire_time import nanoseconds, rfc3339
from workers.engine.events import Bar
from workers.engine.instruments import Instrument

SECOND_NS: Final = 1_000_000_000
MS: Final = 1_000_000
EMPTY_PAGES: Final = 3
"""Pages more than would be needed if nothing were missing: markets close, and quiet minutes have no candle."""

Row = list[int | Decimal]
"""Start in ns, open, high, low, close, volume, number of trades (0 where the venue does not tell)."""
Page = Callable[[int, int], Awaitable[list[Row]]]
"""Candles that start within ``[from, to)`` ns, in any order."""

BINANCE: Final = {
    SECOND_NS: "1s",
    60 * SECOND_NS: "1m",
    180 * SECOND_NS: "3m",
    300 * SECOND_NS: "5m",
    900 * SECOND_NS: "15m",
    1800 * SECOND_NS: "30m",
    3600 * SECOND_NS: "1h",
    7200 * SECOND_NS: "2h",
    14_400 * SECOND_NS: "4h",
    86_400 * SECOND_NS: "1d",
}
ADVANCED: Final = {
    60 * SECOND_NS: "ONE_MINUTE",
    300 * SECOND_NS: "FIVE_MINUTE",
    900 * SECOND_NS: "FIFTEEN_MINUTE",
    1800 * SECOND_NS: "THIRTY_MINUTE",
    3600 * SECOND_NS: "ONE_HOUR",
    7200 * SECOND_NS: "TWO_HOUR",
    86_400 * SECOND_NS: "ONE_DAY",
}
EXCHANGE: Final = {length * SECOND_NS: str(length) for length in (60, 300, 900, 3600, 21_600, 86_400)}
OANDA: Final = {
    5 * SECOND_NS: "S5",
    60 * SECOND_NS: "M1",
    300 * SECOND_NS: "M5",
    900 * SECOND_NS: "M15",
    1800 * SECOND_NS: "M30",
    3600 * SECOND_NS: "H1",
    14_400 * SECOND_NS: "H4",
    86_400 * SECOND_NS: "D",
}
NAMES: Final[Mapping[str, Mapping[int, str]]] = {
    "paper": BINANCE,
    "binanceus": BINANCE,
    "coinbase": ADVANCED,
    "coinbaseexchange": EXCHANGE,
    "oanda": OANDA,
}
"""What each venue calls the lengths (ns) of which it has candles."""


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


def interval_name(venue: str, length_ns: int) -> str:
    """The venue's name of an interval; ValueError for a venue without candles here and for a length it has none of."""
    if venue not in NAMES:
        raise ValueError(f"expected a venue among {', '.join(NAMES)}, was {venue!r}")
    if length_ns not in NAMES[venue]:
        known = ", ".join(f"{length // SECOND_NS} s" for length in NAMES[venue])
        raise ValueError(f"expected candles of {venue} among {known}, was {length_ns / SECOND_NS:g} s")
    return NAMES[venue][length_ns]


def pages_of(venue: str, rest: RestReader, symbol: str, length_ns: int) -> tuple[Page, int]:
    """How ``venue`` is asked for candles, and for how many at once; ValueError as ``interval_name``."""
    name = interval_name(venue, length_ns)
    make, most = {
        "coinbase": (_advanced, 300),
        "coinbaseexchange": (_exchange, 300),
        "oanda": (_oanda, 2000),
    }.get(venue, (_binance, 1000))
    return make(rest, symbol, name), most


async def newest(
    venue: str,
    rest: RestReader,
    instrument: Instrument,
    length_ns: int,
    *,
    count: int,
    now: int,
    empty_pages: int = EMPTY_PAGES,
) -> list[Bar]:
    """At most ``count`` newest closed bars, oldest first. Raises RestError, and ValueError for what is no candle.

    Prices between two ticks, as OANDA's middle prices are, are rounded to the nearest.
    """
    rows = await newest_rows(venue, rest, instrument.native, length_ns, count=count, now=now, empty_pages=empty_pages)
    return [_bar(row, instrument, length_ns, now) for row in rows]


async def newest_rows(
    venue: str,
    rest: RestReader,
    symbol: str,
    length_ns: int,
    *,
    count: int,
    now: int,
    empty_pages: int = EMPTY_PAGES,
) -> list[Row]:
    """The same of the venue's own ``symbol``, as the venue has them."""
    page, most = pages_of(venue, rest, symbol, length_ns)
    end, most = now - now % length_ns, min(most, count)
    found: dict[int, Row] = {}
    for _ in range(-(-count // most) + empty_pages):
        start = end - most * length_ns
        rows = [row for row in await page(start, end) if start <= row[0] < end]
        found |= {int(row[0]): row for row in rows}
        if len(found) >= count:
            break
        end = start
    return [found[start] for start in sorted(found)[-count:]]


async def rows_between(venue: str, rest: RestReader, symbol: str, length_ns: int, *, start: int, end: int) -> list[Row]:
    """Closed candles that begin within ``[start, end)`` ns, oldest first. Raises as ``newest``."""
    page, most = pages_of(venue, rest, symbol, length_ns)
    found: dict[int, Row] = {}
    for first in range(start - start % length_ns, end, most * length_ns):
        last = min(first + most * length_ns, end)
        found |= {int(row[0]): row for row in await page(first, last) if start <= row[0] < end}
    return [found[at] for at in sorted(found)]


def _bar(row: Row, instrument: Instrument, length_ns: int, now: int) -> Bar:
    start = int(row[0])
    opened, high, low, close = (_ticks(Decimal(value), instrument) for value in row[1:5])
    return Bar(
        symbol=instrument.symbol,
        ts_event=start + length_ns,
        ts_recv=now,
        start=start,
        interval_ns=length_ns,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=int(Decimal(row[5]) // instrument.lot),
        trades=int(row[6]),
    )


def _ticks(price: Decimal, instrument: Instrument) -> int:
    if not price.is_finite() or price <= 0:
        raise ValueError(f"expected a positive price in a candle, was {price} ({instrument.symbol})")
    return int((price / instrument.tick).to_integral_value(ROUND_HALF_EVEN))


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


def _exchange(rest: RestReader, symbol: str, seconds: str) -> Page:
    async def page(first: int, last: int) -> list[Row]:
        params = {"granularity": seconds, "start": rfc3339(first), "end": rfc3339(last - 1)}
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
