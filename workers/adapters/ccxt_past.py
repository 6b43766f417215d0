"""Candles and books of any venue of ccxt, for reports, rebalances and trainings (see ``past``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from workers.adapters.ccxt_generic import Candle, GenericVenue
from workers.adapters.ccxt_market import interval_name
from workers.adapters.past import LEVELS, PastError
from workers.adapters.venue import VenueError
from workers.engine.risk.stress import Depth, Prices

PAGE: Final = 500
T = TypeVar("T")


class CcxtPast:
    """One venue through ccxt's unified methods. Each call loads the venue's markets anew: it is for batches."""

    def __init__(
        self,
        code: str,
        credentials: dict[str, str],
        *,
        url: str | None = None,
        alone: bool = True,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """``url`` and ``alone`` as in ``rewire``."""
        self._make: Callable[[], GenericVenue] = lambda: GenericVenue(
            code, credentials, clock=clock, url=url, alone=alone
        )
        self._code = code
        self._clock = clock

    def offers(self, interval_ns: int) -> bool:
        """See ``Past``."""

        async def ask(venue: GenericVenue) -> bool:
            try:
                return venue.has_history and bool(interval_name(venue, interval_ns))
            except ValueError:
                return False

        return self._read("", ask)

    def closes(self, symbol: str, interval_ns: int, count: int) -> Prices:
        """See ``Past``."""
        now = self._clock()
        start = now - now % interval_ns - count * interval_ns
        found = self.closes_between(symbol, interval_ns, start, now)
        return Prices(times=found.times[-count:], closes=found.closes[-count:])

    def closes_between(self, symbol: str, interval_ns: int, start: int, end: int) -> Prices:
        """See ``Past``."""
        now = self._clock()

        async def ask(venue: GenericVenue) -> list[Candle]:
            name, found, at = interval_name(venue, interval_ns), dict[int, Candle](), start
            while at < end:
                page = await venue.candles_from(symbol, name, at, PAGE)
                fresh = {one.start: one for one in page if at <= one.start < end}
                if not fresh:
                    # A hole in the venue's past as long as a page, or its newest candle.
                    at += PAGE * interval_ns
                    continue
                found |= fresh
                at = max(fresh) + interval_ns
            return [found[at] for at in sorted(found) if at + interval_ns <= now]

        rows = self._read(symbol, ask)
        return Prices(times=[one.start + interval_ns for one in rows], closes=[float(one.close) for one in rows])

    def depth(self, symbol: str) -> Depth | None:
        """See ``Past``."""

        async def ask(venue: GenericVenue) -> dict[str, Any]:
            return await venue.depth(symbol, LEVELS)

        book = self._read(symbol, ask)
        return Depth(**{side: _floats(rows) for side, rows in book.items()})

    def _read(self, symbol: str, ask: Callable[[GenericVenue], Awaitable[T]]) -> T:
        async def read() -> T:
            venue = self._make()
            await venue.open()
            try:
                if symbol:
                    await venue.load_instruments([symbol])
                return await ask(venue)
            finally:
                await venue.close()

        try:
            return asyncio.run(read())
        except (VenueError, ValueError) as error:
            raise PastError(f"{symbol} at {self._code}: {error}") from error


def _floats(rows: Sequence[tuple[Any, Any]]) -> list[tuple[float, float]]:
    return [(float(price), float(size)) for price, size in rows]
