"""Bars, older closes and order books for risk reports, from the venue's public endpoints.

Venues that speak Binance's protocol are asked here, others through their ``past``.

Synchronous and small: a report a minute asks for a page of bars and one book per instrument. What cannot be had is
left out, with the reason; the report then says what it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

import httpx
import structlog

from controlplane.venues import OtherVenue
from workers.adapters.past import Past, PastError, gaps
from workers.engine.config import DAY_NS
from workers.engine.instruments import split_key
from workers.engine.risk.stress import Depth, Prices, Window

log = structlog.get_logger(__name__)

T = TypeVar("T")
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
        self,
        url: str,
        client: httpx.Client | None = None,
        *,
        elsewhere: Mapping[str, str] | None = None,
        pasts: Mapping[str, Past] | None = None,
    ) -> None:
        """``elsewhere``: base addresses by the name of the venue; ``pasts``: of the venues that speak otherwise."""
        loopback = httpx.URL(url).host in ("127.0.0.1", "::1", "localhost")
        # A proxy of the environment is for the outside; the paper venue is on this machine.
        self._http = client or httpx.Client(timeout=TIMEOUT_S, trust_env=not loopback)
        self._url = url
        self._elsewhere = dict(elsewhere or {})
        self._pasts = dict(pasts or {})
        self.problems: list[str] = []
        self.missing: dict[str, int] = {}
        """Bars that are missing between the first and last that were read last, by symbol, where any are."""

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
        offered = self._offered(symbols)
        for name, nanos in offered.items():
            found = {}
            for symbol in symbols:
                prices = self._closes(symbol, name, nanos)
                if prices is None or len(prices.times) <= least:
                    break
                found[symbol] = prices
            if len(found) == len(symbols):
                return nanos, found
        name = next(reversed(offered))
        partly = {symbol: self._closes(symbol, name, nanos) for symbol in symbols}
        return nanos, {symbol: prices for symbol, prices in partly.items() if prices is not None and prices.times}

    def closes(self, symbol: str, interval: str) -> Prices | None:
        """Up to 999 closed bars of one of ``INTERVALS``; None, with the reason in ``problems``, without an answer."""
        return self._closes(symbol, interval, INTERVALS[interval])

    def _offered(self, symbols: Sequence[str]) -> dict[str, int]:
        """Intervals that every venue of ``symbols`` has; all of them where there is none, and the answers say why."""
        asked = {id(past): past for symbol in symbols if (past := self._past(symbol)) is not None}
        try:
            kept = {
                name: nanos for name, nanos in INTERVALS.items() if all(past.offers(nanos) for past in asked.values())
            }
        except PastError as error:
            self._note(f"no candles of {error}")
            kept = {}
        return kept or INTERVALS

    def _past(self, symbol: str) -> Past | None:
        venue = split_key(symbol)[1]
        return self._pasts.get(venue) if venue in self._pasts or venue in self._elsewhere else self._pasts.get("")

    def _note(self, problem: str) -> None:
        self.problems.append(problem)
        log.warning("venue did not answer a risk report", problem=problem)

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
            past = self._past(symbol)
            if past is not None:
                shown = self._told(symbol, past.depth)
                if shown is not None:
                    made[symbol] = shown
                continue
            answer = self._get("depth", symbol, limit=BOOK_LEVELS)
            if isinstance(answer, dict):
                sides = [
                    [(float(price), float(size)) for price, size in answer.get(side, ())] for side in ("bids", "asks")
                ]
                made[symbol] = Depth(bids=sides[0], asks=sides[1])
        return made

    def _closes(self, symbol: str, interval: str, nanos: int, *, closed: bool = False, **query: int) -> Prices | None:
        """Bars by the end of each; the newest is still being built and is left out unless all are ``closed``."""
        past = self._past(symbol)
        if past is not None:
            return self._past_closes(past, symbol, nanos, closed=closed, query=query)
        rows = self._get("klines", symbol, interval=interval, limit=BARS, **query)
        if not isinstance(rows, list):
            return None
        kept = rows if closed else rows[:-1]
        times = [int(row[0]) * MS_NS + nanos for row in kept]
        return self._counted(symbol, nanos, Prices(times=times, closes=[float(row[4]) for row in kept]))

    def _past_closes(
        self, past: Past, symbol: str, nanos: int, *, closed: bool, query: Mapping[str, int]
    ) -> Prices | None:
        if closed:
            start, end = query["startTime"] * MS_NS, query["endTime"] * MS_NS
            found = self._told(symbol, lambda name: past.closes_between(name, nanos, start, end))
        else:
            found = self._told(symbol, lambda name: past.closes(name, nanos, BARS - 1))
        return None if found is None else self._counted(symbol, nanos, found)

    def _counted(self, symbol: str, nanos: int, prices: Prices) -> Prices:
        self.missing.pop(symbol, None)
        if lost := gaps(prices, nanos):
            self.missing[symbol] = lost
        return prices

    def _told(self, symbol: str, ask: Callable[[str], T]) -> T | None:
        """What a past answers for the venue's own name of ``symbol``; None, and a problem, where it does not."""
        try:
            return ask(split_key(symbol)[0])
        except PastError as error:
            self._note(f"no history of {symbol}: {error}")
            return None

    def _get(self, path: str, symbol: str, **query: str | int) -> Any:
        name, venue = split_key(symbol)
        try:
            url = f"{self._elsewhere.get(venue, self._url)}/api/v3/{path}"
            reply = self._http.get(url, params={"symbol": name, **query})
            reply.raise_for_status()
            return reply.json()
        except (httpx.HTTPError, ValueError) as error:
            self._note(f"no {path} of {symbol}: {error}")
            return None
