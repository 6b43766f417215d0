"""Parent orders in the trading loop against the real paper venue, and what faults leave of them: nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.execution import Desk, PaperVenue, assert_books_agree, journalled, paper_venue, within
from workers.engine.events import OrderIntended, ParentEnded
from workers.engine.execution.parent import Parent, ParentRequest, ParentStatus
from workers.engine.instruments import Instrument
from workers.engine.vocabulary import Side
from workers.live.execution.parents import ParentsWanted

SECOND_NS = 1_000_000_000
SYMBOL = "ETHUSDT"
MakeDesk = Callable[..., Desk]


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[PaperVenue]:
    async with paper_venue(tmp_path / "venue") as running:
        yield running


@pytest.fixture
async def make_desk(venue: PaperVenue, tmp_path: Path) -> AsyncIterator[MakeDesk]:
    """Makes desks on one journal, whose strategy stays silent, and ends those that a failed test leaves behind."""
    made: list[Desk] = []

    def make(wanted: list[dict[str, Any]], **settings: float) -> Desk:
        desk = Desk(tmp_path / "journal", venue.url, **settings)
        desk.forecasts.silent = True
        want(desk, wanted)
        made.append(desk)
        return desk

    yield make
    for desk in made:
        if not desk.ended:
            await desk.kill()


def asked(parent_id: str, lots: int, seconds: float, algorithm: str = "twap", **fields: Any) -> dict[str, Any]:
    """A parent as the control plane's tables tell it."""
    now = time.time_ns()
    side, limit = fields.pop("side", Side.BUY), fields.pop("limit_price", 0)
    end = now + int(seconds * SECOND_NS) if seconds else 0
    request = ParentRequest(
        symbol=SYMBOL, side=side, lots=lots, algorithm=algorithm, params=fields, start=now, end=end, limit_price=limit
    )
    return {"parent_id": parent_id, "by": "ann", "request": msgspec.to_builtins(request), "cancelled": ""}


def want(desk: Desk, parents: list[dict[str, Any]]) -> None:
    desk.wanted = msgspec.structs.replace(desk.wanted, parents=parents)


def over(desk: Desk, *parent_ids: str) -> bool:
    books = desk.books
    return all(name in books.parents and not books.parents[name].status.is_live for name in parent_ids)


async def assert_parents_exact(desk: Desk, venue: PaperVenue) -> None:
    """By the venue's own log: the children of a parent never add up to more, and none outlives its parent."""
    truth, books = await venue.truth(), desk.books
    grid: Instrument = books.lines[SYMBOL].instrument
    done: dict[str, Decimal] = dict.fromkeys(books.parents, Decimal(0))
    for row in truth["orders"]:
        order = books.orders[row["clientOrderId"]]
        if not order.parent_id:
            continue
        filled, whole = Decimal(row["executedQty"]), Decimal(row["origQty"])
        is_open = row["status"] in ("NEW", "PARTIALLY_FILLED")
        assert not (is_open and not books.parents[order.parent_id].status.is_live), f"orphan {row}"
        done[order.parent_id] += whole if is_open else filled
    for parent_id, parent in books.parents.items():
        assert done[parent_id] <= grid.quantity(parent.lots)
        assert done[parent_id] == grid.quantity(parent.filled), parent_id
    told = journalled(desk.loop.config.journal_dir)
    for parent_id in books.parents:
        numbers = [event.child for event in told if isinstance(event, OrderIntended) and event.parent_id == parent_id]
        assert numbers == list(range(1, len(numbers) + 1))
        assert sum(isinstance(event, ParentEnded) and event.parent_id == parent_id for event in told) <= 1


async def finish(desk: Desk, venue: PaperVenue) -> None:
    await within(30, lambda: not desk.books.open_orders() and desk.journal.durable_seq == desk.journal.position.seq)
    await asyncio.sleep(0.3)
    await desk.stop()
    await assert_books_agree(desk, venue)
    await assert_parents_exact(desk, venue)
    assert not [one for one in desk.books.anomalies if "overfill" in one.kind]


def parent(desk: Desk, parent_id: str) -> Parent:
    return desk.books.parents[parent_id]


async def test_parents_are_worked_to_the_last_lot(venue: PaperVenue, make_desk: MakeDesk) -> None:
    wanted = [
        asked("twap-1", 6001, 4, slices=4, patience_s=0.5),
        asked("pov-1", 3000, 0, "pov", rate=0.5, style="take"),
        asked("ice-1", 2500, 0, "iceberg", display_lots=600, vary=0.3, reprice_s=0.2),
        asked("adaptive-1", 4000, 4, "adaptive", steps=4, patience_s=0.3),
        asked("vwap-1", 4000, 4, "vwap", patience_s=0.3),
    ]
    desk = make_desk(wanted)
    await desk.start()
    await within(30, lambda: over(desk, "twap-1", "adaptive-1"))
    want(desk, [{**one, "cancelled": "enough"} for one in wanted])
    await within(30, lambda: over(desk, *(one["parent_id"] for one in wanted)))
    assert parent(desk, "twap-1").status is ParentStatus.FILLED, parent(desk, "twap-1").detail
    assert parent(desk, "twap-1").filled == 6001
    assert parent(desk, "adaptive-1").status is ParentStatus.FILLED, parent(desk, "adaptive-1").detail
    assert parent(desk, "vwap-1").status in (ParentStatus.FILLED, ParentStatus.CANCELED)
    assert parent(desk, "ice-1").children > 0
    await finish(desk, venue)


async def test_a_cancelled_parent_sends_nothing_more_and_one_cancelled_before_it_began_nothing_at_all(
    venue: PaperVenue, make_desk: MakeDesk, tmp_path: Path
) -> None:
    wanted = [asked("long", 200_000, 600, slices=300, style="take"), asked("never", 1000, 60, slices=3)]
    wanted[1]["cancelled"] = "a slip of the hand (ann)"
    desk = make_desk(wanted)
    await desk.start()
    await within(30, lambda: "long" in desk.books.parents and parent(desk, "long").filled > 0)
    want(desk, [{**one, "cancelled": "enough (ann)"} for one in wanted])
    await within(30, lambda: over(desk, "long", "never"))
    children = parent(desk, "long").children
    assert (parent(desk, "long").status, parent(desk, "long").detail) == (ParentStatus.CANCELED, "enough (ann)")
    assert (parent(desk, "never").status, parent(desk, "never").children) == (ParentStatus.CANCELED, 0)
    await asyncio.sleep(2.5)
    assert parent(desk, "long").children == children
    await finish(desk, venue)


async def test_a_clean_restart_goes_on_with_the_parent(venue: PaperVenue, make_desk: MakeDesk) -> None:
    wanted = [asked("twap-1", 8000, 8, slices=8, patience_s=0.5)]
    first = make_desk(wanted)
    await first.start()
    await within(30, lambda: "twap-1" in first.books.parents and parent(first, "twap-1").filled > 0)
    await first.stop()
    assert not first.books.open_orders()
    assert parent(first, "twap-1").status is ParentStatus.ACTIVE
    second = make_desk(wanted)
    await second.start()
    await within(20, lambda: over(second, "twap-1"))
    assert parent(second, "twap-1").status is ParentStatus.FILLED, parent(second, "twap-1").detail
    await finish(second, venue)


FAULTS: list[dict[str, Any]] = [
    {"order_ack_delay_ms": 250},
    {"order_500_after_accept": 2},
    {"lose_ack": 2},
    {"duplicate_reports": 6},
    {"reject_orders": 2},
    {"drop_websockets": True},
]


async def next_child(desk: Desk, names: list[str]) -> None:
    """Return in the turn of the event loop in which another child is decided, or when all parents are over."""
    before = len(desk.books.orders)
    await within(20, lambda: len(desk.books.orders) > before or over(desk, *names), pause=0)


class Nemesis:
    """Breaks things: the worker is killed or paused, the venue errs or is away."""

    def __init__(self, folder: Path, stack: contextlib.AsyncExitStack, chance: random.Random) -> None:
        self.folder = folder
        self.chance = chance
        self._stack = stack

    async def open(self, port: int = 0) -> PaperVenue:
        """The venue, with the books that it had."""
        return await self._stack.enter_async_context(paper_venue(self.folder / "venue", port=port))

    async def strike(self, desk: Desk, venue: PaperVenue, make: Callable[[], Desk]) -> tuple[Desk, PaperVenue]:
        """One misfortune; what goes on after it."""
        kind = self.chance.choice(("kill", "kill", "pause", "outage"))
        if kind == "pause":
            time.sleep(3.2)  # noqa: ASYNC251  # stands for a stopped process
        elif kind == "outage":
            await self._stack.aclose()
            await asyncio.sleep(self.chance.random() * 2)
            venue = await self.open(int(venue.url.rpartition(":")[2]))
        else:
            await desk.kill()
            desk = make()
            await desk.start()
        return desk, venue


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_to_worker_and_venue_no_child_is_doubled_or_left_behind(
    tmp_path: Path, seed: int
) -> None:
    """Kills, pauses, outages, lost answers and cut connections at random moments of three parents' lives."""
    chance = random.Random(seed)
    wanted = [
        asked("buy-1", chance.randrange(3000, 9000), 16, slices=20, patience_s=0.4, jitter=0.5),
        asked("buy-2", chance.randrange(2000, 6000), 16, "buckets", buckets=10),
        asked("ice-1", chance.randrange(2000, 5000), 0, "iceberg", display_lots=400, vary=0.5, reprice_s=0.2),
    ]
    names = [one["parent_id"] for one in wanted]
    async with contextlib.AsyncExitStack() as stack:
        nemesis = Nemesis(tmp_path, stack, chance)
        venue = await nemesis.open()

        def make() -> Desk:
            desk = Desk(tmp_path / "journal", venue.url, order_timeout_s=0.5)
            desk.forecasts.silent = True
            want(desk, wanted)
            return desk

        desk = make()
        await desk.start()
        for _ in range(4):
            await venue.fault(**chance.choice(FAULTS))
            await next_child(desk, names)
            await asyncio.sleep(chance.random() * 0.05)
            desk, venue = await nemesis.strike(desk, venue, make)
            await venue.fault(order_ack_delay_ms=0)
        want(desk, [{**one, "cancelled": "the test ends" if one["parent_id"] == "ice-1" else ""} for one in wanted])
        await within(40, partial(over, desk, *names))
        for one in ("buy-1", "buy-2"):
            assert parent(desk, one).status in (ParentStatus.FILLED, ParentStatus.EXPIRED)
            assert parent(desk, one).filled == parent(desk, one).lots or "lots left" in parent(desk, one).detail
        await finish(desk, venue)


async def test_a_request_that_breaks_keeps_nobody_else_from_starting_or_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    async def take(_self: ParentsWanted, one: dict[str, Any]) -> None:
        if one["parent_id"] == "bad":
            raise ZeroDivisionError("integer division or modulo by zero")
        done.append(one["parent_id"])

    monkeypatch.setattr(ParentsWanted, "_take", take)
    problems = await ParentsWanted(None).take([{"parent_id": name} for name in ("a", "bad", "b")])  # type: ignore[arg-type]
    assert done == ["a", "b"]
    assert problems == ["parent bad: ZeroDivisionError: integer division or modulo by zero"]
