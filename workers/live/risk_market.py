"""Bars, older closes and order books for risk reports, from the venue's public endpoints (the Binance shape).

Synchronous and small: a report a minute asks for a page of bars and one book per instrument. What cannot be had is
left out, with the reason; the report then says what it lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

import httpx
import structlog

from controlplane.venues import OtherVenue
from workers.engine.config import DAY_NS
from workers.engine.instruments import split_key
from workers.engine.risk.stress import Depth, Prices, Window

log = structlog.get_logger(__name__)

EXCHANGE: Final = "https://api.binance.us"
MS_NS: Final = 1_000_000
BARS: Final = 1000
BOOK_LEVELS: Final = 100
TIMEOUT_S: Final = 5.0
INTERVALS: Final[dict[str, int]] = {
    "1d": DAY_NS,
    "1h": DAY_NS // 24,
    "15m": DAY_NS // 96,
    "5m": DAY_NS // 288,
    "1m": DAY_NS // 1440,
    "1s": DAY_NS // 86_400,
}
"""Bar intervals in ns, coarsest first: the first with enough bars is taken."""


def base_url(venue_url: str | None) -> str:
    """The paper venue serves the exchange under its own address; without one, the exchange itself."""
    return f"{venue_url.rstrip('/')}/api.binance.us" if venue_url else EXCHANGE


def shown_elsewhere(venues: Iterable[OtherVenue]) -> dict[str, str]:
    """Addresses of the paper venues that speak as the home venue does and show their prices."""
    return {one.name: one.url.rstrip("/") for one in venues if one.url and not one.code}


class RiskMarket:
    """Use as a context manager. ``problems`` says in words what could not be had.

    An instrument of another venue than the home venue (``BTCUSDT@beta``) is asked for at that venue's own address, if
    ``elsewhere`` has one. Else the home venue's prices of the same name stand for it.
    """

    def __init__(
        self, url: str, client: httpx.Client | None = None, *, elsewhere: Mapping[str, str] | None = None
    ) -> None:
        """``elsewhere``: base addresses by the name of the venue."""
        loopback = httpx.URL(url).host in ("127.0.0.1", "::1", "localhost")
        # A proxy of the environment is for the outside; the paper venue is on this machine.
        self._http = client or httpx.Client(timeout=TIMEOUT_S, trust_env=not loopback)
        self._url = url
        self._elsewhere = dict(elsewhere or {})
        self.problems: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def bars(self, symbols: Sequence[str], least: int) -> tuple[int, dict[str, Prices]]:
        """(interval in ns, closed bars by symbol) of the coarsest interval with more than ``least`` bars of each.

        The finest interval is taken when none has: the report says that they are too few.
        """
        found: dict[str, Prices] = {}
        nanos = 0
        for name, nanos in INTERVALS.items():
            found = {}
            for symbol in symbols:
                prices = self._closes(symbol, name, nanos)
                if prices is None or len(prices.times) <= least:
                    break
                found[symbol] = prices
            if len(found) == len(symbols):
                return nanos, found
        name = next(reversed(INTERVALS))
        partly = {symbol: self._closes(symbol, name, nanos) for symbol in symbols}
        return nanos, {symbol: prices for symbol, prices in partly.items() if prices is not None and prices.times}

    def closes(self, symbol: str, interval: str) -> Prices | None:
        """Up to 999 closed bars of one of ``INTERVALS``; None, with the reason in ``problems``, without an answer."""
        return self._closes(symbol, interval, INTERVALS[interval])

    def archive(self, symbols: Iterable[str], windows: Sequence[Window]) -> dict[str, Prices]:
        """Daily closes of all ``windows`` and of the day before each, by symbol; without those that have none."""
        made: dict[str, Prices] = {}
        for symbol in symbols:
            times, closes = list[int](), list[float]()
            for window in windows:
                start, end = (window.start - DAY_NS) // MS_NS, window.end // MS_NS
                prices = self._closes(symbol, "1d", DAY_NS, startTime=start, endTime=end, closed=True)
                if prices is not None:
                    times += prices.times
                    closes += prices.closes
            if times:
                made[symbol] = Prices(times=times, closes=closes)
        return made

    def books(self, symbols: Iterable[str]) -> dict[str, Depth]:
        """The visible order book by symbol."""
        made: dict[str, Depth] = {}
        for symbol in symbols:
            answer = self._get("depth", symbol, limit=BOOK_LEVELS)
            if isinstance(answer, dict):
                sides = [
                    [(float(price), float(size)) for price, size in answer.get(side, ())] for side in ("bids", "asks")
                ]
                made[symbol] = Depth(bids=sides[0], asks=sides[1])
        return made

    def _closes(self, symbol: str, interval: str, nanos: int, *, closed: bool = False, **query: int) -> Prices | None:
        """Bars by the end of each; the newest is still being built and is left out unless all are ``closed``."""
        rows = self._get("klines", symbol, interval=interval, limit=BARS, **query)
        if not isinstance(rows, list):
            return None
        kept = rows if closed else rows[:-1]
        times = [int(row[0]) * MS_NS + nanos for row in kept]
        return Prices(times=times, closes=[float(row[4]) for row in kept])

    def _get(self, path: str, symbol: str, **query: str | int) -> Any:
        name, venue = split_key(symbol)
        try:
            url = f"{self._elsewhere.get(venue, self._url)}/api/v3/{path}"
            reply = self._http.get(url, params={"symbol": name, **query})
            reply.raise_for_status()
            return reply.json()
        except (httpx.HTTPError, ValueError) as error:
            problem = f"no {path} of {symbol}: {error}"
            self.problems.append(problem)
            log.warning("venue did not answer a risk report", problem=problem)
            return None
