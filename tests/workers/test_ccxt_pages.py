"""Reading a listing to its end: whatever a venue's pages are like, all rows are told or none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.adapters.ccxt_pages import CUT_BELOW_100, Answer, Incomplete, Walk, last_change

NOW = 1_800_000_000_000
DAY_MS = 86_400_000


def row(number: int, at: int) -> dict[str, Any]:
    return {"id": str(number), "timestamp": at, "status": "closed"}


class Listing:
    """A venue's listing: cut at ``page`` rows, which are the oldest or the newest of the range."""

    def __init__(
        self, rows: Sequence[Mapping[str, Any]], page: int, *, oldest: bool, until: bool = True, span_ms: int = 0
    ) -> None:
        self.rows = sorted(rows, key=lambda one: (one["timestamp"], int(one["id"])))
        self.page = page
        self.oldest = oldest
        self.until = until
        self.span_ms = span_ms
        self.requests = 0

    async def __call__(self, since: int, until: int | None) -> Answer:
        self.requests += 1
        end = until if until is not None and self.until else NOW
        if self.span_ms:
            assert end - since <= self.span_ms, "the venue refuses a longer range"
        found = [one for one in self.rows if since <= one["timestamp"] <= end]
        told = found[: self.page] if self.oldest else found[-self.page :]
        return Answer(told, len(told))


def read(listing: Listing, since: int, **options: Any) -> set[str]:
    return set(asyncio.run(Walk(listing, clock_ms=lambda: NOW, **options).read(since)))


@settings(max_examples=300, deadline=None)
@given(
    gaps=st.lists(st.sampled_from([0, 0, 0, 1, 900, 3_000, 60_000, 3_600_000]), max_size=260),
    page=st.sampled_from([20, 50, 100]),
    oldest=st.booleans(),
    until=st.booleans(),
)
def test_everything_is_told_or_nothing(gaps: list[int], page: int, oldest: bool, until: bool) -> None:
    rows, at = [], NOW - 10_000
    for number, gap in enumerate(gaps):
        at -= gap
        rows.append(row(number, at))
    listing = Listing(rows, page, oldest=oldest, until=until)
    try:
        told = read(listing, at - 1_000)
    except Incomplete:
        assert len(rows) >= page or len(rows) in CUT_BELOW_100, "shorter listings are complete"
        return
    assert told == {one["id"] for one in rows}


@pytest.mark.parametrize(("oldest", "until"), [(True, True), (True, False), (False, True)])
def test_many_pages_are_read_in_both_orders(oldest: bool, until: bool) -> None:
    rows = [row(number, NOW - 20_000 - number * 7_000) for number in range(650)]
    listing = Listing(rows, 50, oldest=oldest, until=until)
    assert len(read(listing, NOW - DAY_MS)) == 650
    assert listing.requests < 35


def test_a_venue_that_tells_only_its_newest_rows_is_not_believed() -> None:
    rows = [row(number, NOW - 20_000 - number * 7_000) for number in range(200)]
    with pytest.raises(Incomplete, match="cannot be asked for what is older"):
        read(Listing(rows, 50, oldest=False, until=False), NOW - DAY_MS)


@pytest.mark.parametrize("oldest", [True, False])
def test_more_than_a_page_in_one_millisecond_cannot_be_told_apart(oldest: bool) -> None:
    rows = [row(number, NOW - 60_000) for number in range(260)]
    with pytest.raises(Incomplete, match="of the same moment"):
        read(Listing(rows, 100, oldest=oldest), NOW - DAY_MS)


@pytest.mark.parametrize("oldest", [True, False])
def test_many_fills_of_one_millisecond_are_a_whole_page(oldest: bool) -> None:
    rows = [row(number, NOW - 60_000) for number in range(37)]
    assert len(read(Listing(rows, 50, oldest=oldest), NOW - DAY_MS)) == 37


def test_no_longer_range_is_asked_for_than_the_venue_allows() -> None:
    rows = [row(number, NOW - 1_000 - number * 600_000) for number in range(900)]
    listing = Listing(rows, 100, oldest=False, span_ms=DAY_MS)
    assert len(read(listing, NOW - 7 * DAY_MS, span_ms=DAY_MS)) == 900


def test_orders_that_do_not_tell_when_they_ended_cannot_be_paged_backwards() -> None:
    """Venues page by the end of an order and ccxt tells its beginning: what lies between would be skipped."""
    rows = [row(number, NOW - 20_000 - number * 7_000) for number in range(120)]
    with pytest.raises(Incomplete, match="does not tell when it ended"):
        read(Listing(rows, 50, oldest=False), NOW - DAY_MS, edge=last_change)
    dated = [{**one, "lastUpdateTimestamp": one["timestamp"] + 10} for one in rows]
    assert len(read(Listing(dated, 50, oldest=False), NOW - DAY_MS, edge=last_change)) == 120


@pytest.mark.parametrize("broken", [{"id": None, "timestamp": NOW}, {"id": "1", "timestamp": None}])
def test_rows_without_a_name_or_time_cannot_be_compared(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected an? (id|time)"):
        read(_Same([broken] * 12), NOW - DAY_MS)


class _Same(Listing):
    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = list(rows)

    async def __call__(self, since: int, until: int | None) -> Answer:
        return Answer(self.rows, len(self.rows))
