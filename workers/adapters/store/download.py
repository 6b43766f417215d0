"""Candles of a venue into the store, page by page, exactly as the venue writes them.

A venue may leave out candles in which nothing traded; they stay out, and ``check`` tells them. The candle that is
still open is never taken. Repeating a download changes nothing; a candle that the venue has revised is told.
"""

from __future__ import annotations

import msgspec

from workers.adapters.candles import pages_of
from workers.adapters.feeds import Endpoints, FeedProblem
from workers.adapters.rest_reader import RestError, RestReader
from workers.adapters.store.importer import on_grid
from workers.adapters.store.parquet_store import Advance, SeriesKey, Store, Written
from workers.adapters.store.schema import Kind, interval_ns
from workers.engine.market.venues import rules_of


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
        try:
            page, most = pages_of(venue, rest, symbol, length)
        except ValueError as error:
            raise FeedProblem(str(error)) from error
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
