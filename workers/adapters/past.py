"""What was traded at a venue, and what is offered there now, for whoever is no loop: reports, rebalances, trainings.

One port for every venue that is not spoken to in Binance's protocol; synchronous, each call opens and closes its own
connections. Closes are the venue's own, with the end of each bar in ns. Nothing is filled in: what is missing is
missing in the times, and ``gaps`` counts it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Final, Protocol, TypeVar

import msgspec

from workers.adapters import candles
from workers.adapters.binance.limits import WeightBudget
from workers.adapters.feeds import PUBLIC, Access, Endpoints
from workers.adapters.rest_reader import RestError, RestReader
from workers.engine.market.venues import rules_of
from workers.engine.risk.stress import Depth, Prices

LEVELS: Final = 100
T = TypeVar("T")


class PastError(RuntimeError):
    """The venue did not answer, or has nothing of the kind; the message says which."""


class Past(Protocol):
    """One venue's candles and books, by the venue's own symbols. All raise PastError."""

    def offers(self, interval_ns: int) -> bool:
        """True when the venue has candles of this length."""
        ...

    def closes(self, symbol: str, interval_ns: int, count: int) -> Prices:
        """At most ``count`` newest closed bars."""
        ...

    def closes_between(self, symbol: str, interval_ns: int, start: int, end: int) -> Prices:
        """Bars that begin within ``[start, end)`` ns."""
        ...

    def depth(self, symbol: str) -> Depth | None:
        """The visible book; None at a venue that shows none."""
        ...


def gaps(prices: Prices, interval_ns: int) -> int:
    """Bars that are missing between the first and the last one."""
    times = prices.times
    return (times[-1] - times[0]) // interval_ns + 1 - len(times) if times else 0


class NativePast:
    """Of venues whose own REST interface is spoken here (``candles.NAMES``)."""

    def __init__(
        self, code: str, where: Endpoints, access: Access = PUBLIC, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        """``access`` is for candles that are not public, which are OANDA's."""
        self._code = code
        self._where = where
        self._headers = {"Authorization": f"Bearer {access.token}"} if access.token else None
        self._clock = clock
        rate = rules_of(code).rate
        # Half of the venue's budget stays for orders; all calls share it.
        self._budget = WeightBudget(max(rate.limit // 2, 1), rate.window_s)

    def offers(self, interval_ns: int) -> bool:
        """See ``Past``."""
        return interval_ns in candles.NAMES.get(self._code, {})

    def closes(self, symbol: str, interval_ns: int, count: int) -> Prices:
        """See ``Past``."""
        now = self._clock()

        async def ask(rest: RestReader) -> list[candles.Row]:
            return await candles.newest_rows(self._code, rest, symbol, interval_ns, count=count, now=now)

        return _prices(self._read(symbol, ask), interval_ns)

    def closes_between(self, symbol: str, interval_ns: int, start: int, end: int) -> Prices:
        """See ``Past``."""

        async def ask(rest: RestReader) -> list[candles.Row]:
            return await candles.rows_between(self._code, rest, symbol, interval_ns, start=start, end=end)

        return _prices(self._read(symbol, ask), interval_ns)

    def depth(self, symbol: str) -> Depth | None:
        """See ``Past``; OANDA's prices are no book."""
        known: dict[str, tuple[str, dict[str, str]]] = {
            "coinbase": ("/api/v3/brokerage/market/product_book", {"product_id": symbol, "limit": str(LEVELS)}),
            "coinbaseexchange": (f"/products/{symbol}/book", {"level": "2"}),
        }
        if self._code not in known:
            return None
        path, query = known[self._code]

        async def ask(rest: RestReader) -> Depth:
            book = msgspec.json.decode(await rest.get(path, query), type=_Answer)
            sides = book.pricebook or book
            return Depth(bids=_levels(sides.bids), asks=_levels(sides.asks))

        return self._read(symbol, ask)

    def _read(self, symbol: str, ask: Callable[[RestReader], Awaitable[T]]) -> T:
        async def read() -> T:
            async with RestReader(self._where.rest, headers=self._headers, budget=self._budget) as rest:
                return await ask(rest)

        try:
            return asyncio.run(read())
        except (RestError, ValueError, ArithmeticError, msgspec.DecodeError) as error:
            raise PastError(f"{symbol} at {self._code}: {error}") from error


class _Level(msgspec.Struct):
    price: str
    size: str


class _Sides(msgspec.Struct):
    bids: list[_Level | tuple[str, str, int]] = []
    asks: list[_Level | tuple[str, str, int]] = []


class _Answer(_Sides):
    """Advanced Trade's book is in ``pricebook``, the older exchange's beside it."""

    pricebook: _Sides | None = None


def _levels(rows: Sequence[_Level | tuple[str, str, int]]) -> list[tuple[float, float]]:
    pairs = [(one.price, one.size) if isinstance(one, _Level) else (one[0], one[1]) for one in rows]
    return [(float(price), float(size)) for price, size in pairs[:LEVELS]]


def _prices(rows: Sequence[candles.Row], interval_ns: int) -> Prices:
    closes = [Decimal(row[4]) for row in rows]
    wrong = next((close for close in closes if not close.is_finite() or close <= 0), None)
    if wrong is not None:
        raise PastError(f"expected a positive price in a candle, was {wrong}")
    return Prices(times=[int(row[0]) + interval_ns for row in rows], closes=[float(close) for close in closes])
