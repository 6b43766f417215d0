"""Reading a listing of a venue to its end although nobody says how the venue pages.

Venues cut their answers at a length that they need not tell, keep the oldest rows or the newest of what was asked for,
and some ignore the end of a time range. So a listing counts as complete only on evidence:

* a page is **whole** when it is shorter than another page of the same listing, or shorter than any venue's page;
* a page of which nothing else is known, as its rows are of one moment or the venue cannot be asked for older ones, is
  whole unless its length is one at which venues cut;
* nothing is missing **after** a page once the next one, from its newest row on, is whole;
* nothing is missing **before** it when the next page tells rows that were there when it was asked for (then the venue
  keeps the oldest rows), or when the time before it was read back to its start.

Where there is no such evidence ``Incomplete`` is raised. Times are ms since 1970.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

SMALLEST_PAGE: Final = 10
"""No venue answers with pages shorter than this."""
CUT_BELOW_100: Final = frozenset({20, 25, 30, 40, 50, 60, 75, 80})
"""Lengths at which venues cut their answers; above, any multiple of 50."""
MARGIN_MS: Final = 2_000
"""Some venues take the ends of a range in whole seconds."""
SKEW_MS: Final = 5_000
"""How far a venue's clock may be ahead of ours, and how late it may list what happened."""
DAY_MS: Final = 86_400_000

Row = Mapping[str, Any]
"""A trade or an order as ccxt gives it."""


class Incomplete(Exception):
    """The venue's answers do not show whether the listing is complete."""


class _Page(NamedTuple):
    rows: Sequence[Row]
    fresh: Sequence[Row]
    """Rows that no page had shown before."""
    length: int
    whole: bool
    asked: int

    @property
    def newest(self) -> int:
        """Where to go on: a moment before the newest row, as some venues leave the start of a range out."""
        return max(map(at, self.rows)) - 1


class Answer(NamedTuple):
    """What the venue told at once."""

    rows: Sequence[Row]
    length: int
    """Rows of the longest page among those that it took."""


Ask = Callable[[int, int | None], Awaitable[Answer]]
"""Rows of a listing since a time, until another one or now."""


def at(row: Row) -> int:
    """When it happened; ValueError for a row without a time."""
    if not row.get("timestamp"):
        raise ValueError(f"expected a time, was none (row {row.get('id')})")
    return int(row["timestamp"])


def looks_cut(length: int) -> bool:
    """Whether venues cut their answers at this length."""
    return length in CUT_BELOW_100 or (length > 0 and length % 50 == 0)


def name_of(row: Row) -> str:
    """The venue's id; ValueError for a row without one, which could not be told from another."""
    if row.get("id") in (None, ""):
        raise ValueError(f"expected an id, was none (row of {row.get('timestamp')} ms)")
    return str(row["id"])


def last_change(row: Row) -> int:
    """When an order changed last; Incomplete where the venue does not tell, as it may page by that."""
    told = [int(row[name]) for name in ("lastTradeTimestamp", "lastUpdateTimestamp") if row.get(name)]
    if not told and row.get("status") != "open":
        raise Incomplete(f"order {name_of(row)} does not tell when it ended, so that older ones cannot be asked for")
    return max([at(row), *told])


class Walk:
    """One reading of one listing; ``rows`` are what it told, by the venue's id."""

    def __init__(
        self,
        ask: Ask,
        *,
        clock_ms: Callable[[], int],
        span_ms: int | None = None,
        edge: Callable[[Row], int] = at,
        longest: int = 0,
    ) -> None:
        """``span_ms``: the longest range that may be asked for, None for any. ``longest`` page seen so far.

        ``edge`` of a row is a time up to which older rows must be asked for.
        """
        self.rows: dict[str, Row] = {}
        self._ask = ask
        self._clock_ms = clock_ms
        self._span_ms = max(span_ms - 2 * MARGIN_MS - SKEW_MS, 2 * MARGIN_MS) if span_ms else None
        self._edge = edge
        self.longest = max(longest, SMALLEST_PAGE)
        self._keeps_oldest = False

    async def read(self, since: int) -> dict[str, Row]:
        """Everything from ``since`` until now. Raises Incomplete, and what ``ask`` raises."""
        while self._span_ms is not None and self._clock_ms() - since > self._span_ms:
            await self._range(since, since + self._span_ms)
            since += self._span_ms - MARGIN_MS
        await self._range(since, None)
        return self.rows

    async def _range(self, start: int, end: int | None) -> None:
        page = await self._page(start, end)
        while not page.whole:
            if self._repeats(page):
                return
            following = await self._page(page.newest, end)
            # These were there when the page was asked for, so it was not cut at its newer end for nothing.
            self._keeps_oldest |= any(at(row) < page.asked - SKEW_MS for row in following.fresh)
            if not self._keeps_oldest:
                await self._before(page, start)
            start, page = page.newest, following

    async def _before(self, page: _Page, start: int) -> None:
        """Read what is older than ``page``; it need not be possible where the page does not look cut."""
        try:
            await self._back(page, start)
        except Incomplete:
            if looks_cut(page.length):
                raise

    async def _back(self, page: _Page, start: int) -> None:
        """Read what is older than ``page``, which is not whole."""
        while not page.whole:
            if self._repeats(page):
                return
            until = min(map(self._edge, page.rows)) + MARGIN_MS
            page = await self._page(start, until)
            if any(at(row) > until + MARGIN_MS for row in page.rows):
                raise Incomplete("it tells the newest rows and cannot be asked for what is older")

    def _repeats(self, page: _Page) -> bool:
        """Whether it tells nothing new and all that there is; Incomplete when it may have been cut within a moment."""
        if page.fresh:
            return False
        if looks_cut(page.length):
            raise Incomplete(f"it tells {page.length} rows at once, and there may be more of the same moment")
        return True

    async def _page(self, start: int, end: int | None) -> _Page:
        asked = self._clock_ms()
        answer = await self._ask(start, end)
        fresh = [row for row in answer.rows if name_of(row) not in self.rows]
        self.longest = max(self.longest, answer.length)
        self.rows |= {name_of(row): row for row in answer.rows}
        return _Page(answer.rows, fresh, answer.length, answer.length < self.longest, asked)
