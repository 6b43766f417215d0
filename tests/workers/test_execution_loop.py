"""The trading loop against the real paper venue: orders, fills, books, and what happens when things go wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support.execution import Desk, PaperVenue, assert_books_agree, desired, journalled, paper_venue, within
from workers.engine.events import OrderDenied, OrderIntended, OrderSent, OrderUnknown, ReconciliationDone
from workers.engine.vocabulary import OrderStatus, TradingState


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[PaperVenue]:
    async with paper_venue(tmp_path / "venue") as running:
        yield running


MakeDesk = Callable[..., Desk]


@pytest.fixture
async def make_desk(venue: PaperVenue, tmp_path: Path) -> AsyncIterator[MakeDesk]:
    """Makes desks on one journal and ends those that a failed test leaves behind."""
    made: list[Desk] = []

    def make(**settings: float) -> Desk:
        made.append(Desk(tmp_path / "journal", venue.url, **settings))
        return made[-1]

    yield make
    for desk in made:
        if not desk.ended:
            await desk.kill()


async def quiet(desk: Desk) -> None:
    """Stop asking for trades and wait until nothing is open."""
    desk.forecasts.silent = True
    await within(30, lambda: not desk.books.open_orders() and desk.journal.durable_seq == desk.journal.position.seq)
    await asyncio.sleep(0.3)


async def fills_after(desk: Desk, count: int) -> None:
    await within(20, lambda: desk.books.fills > count)


async def open_order_of(desk: Desk) -> None:
    """Return in the turn of the event loop that opens an order: it may be filled 2 ms later."""
    await within(30, desk.books.open_orders, pause=0)


async def test_forecasts_become_fills_and_all_books_agree(
    venue: PaperVenue, make_desk: MakeDesk, tmp_path: Path
) -> None:
    desk = make_desk()
    await desk.start()
    await within(20, lambda: desk.books.fills >= 6)
    await quiet(desk)
    await desk.stop()
    await assert_books_agree(desk, venue)
    events = journalled(tmp_path / "journal")
    seen: set[str] = set()
    for event in events:
        if isinstance(event, OrderIntended):
            seen.add(event.client_id)
            assert {"signal", "risk"} <= event.stages.keys()
        if isinstance(event, OrderSent):
            assert event.client_id in seen
            assert {"signal", "risk", "journal", "send"} <= event.stages.keys()
    assert not desk.books.anomalies


@pytest.mark.parametrize(
    "faults",
    [
        {"order_500_after_accept": 3},
        {"lose_ack": 2},
        {"duplicate_reports": 20},
        {"reject_orders": 3},
    ],
    ids=lambda faults: next(iter(faults)),
)
async def test_a_misbehaving_venue_costs_no_order_and_doubles_none(
    venue: PaperVenue, make_desk: MakeDesk, tmp_path: Path, faults: dict[str, int]
) -> None:
    desk = make_desk(order_timeout_s=0.5)
    await venue.fault(**faults)
    await desk.start()
    await within(20, lambda: desk.books.fills >= 4)
    await quiet(desk)
    await desk.stop()
    await assert_books_agree(desk, venue)
    statuses = {order.status for order in desk.books.orders.values()}
    assert OrderStatus.UNKNOWN not in statuses
    if "order_500_after_accept" in faults:
        assert any(isinstance(event, OrderUnknown) for event in journalled(tmp_path / "journal"))
    if "reject_orders" in faults:
        assert OrderStatus.REJECTED in statuses


async def test_a_killed_worker_is_followed_by_one_with_the_same_books(
    venue: PaperVenue, make_desk: MakeDesk, tmp_path: Path
) -> None:
    for round_ in range(3):
        desk = make_desk()
        await desk.start()
        before = desk.books.fills
        await venue.fault(order_ack_delay_ms=150 + 150 * round_)
        sent = {event.client_id for event in journalled(tmp_path / "journal") if isinstance(event, OrderIntended)}
        await fills_after(desk, before + 1)
        await open_order_of(desk)
        await desk.kill()
        assert desk.books.fills > before
        assert sent <= desk.books.orders.keys()
    await venue.fault(order_ack_delay_ms=0)
    last = make_desk()
    last.forecasts.silent = True
    await last.start()
    await within(30, lambda: last.loop.reconciled)
    await quiet(last)
    await last.stop()
    await assert_books_agree(last, venue)
    assert last.books.epoch == 4


async def test_halt_cancels_what_rests_refuses_the_rest_and_outlives_a_restart(
    venue: PaperVenue, make_desk: MakeDesk, tmp_path: Path
) -> None:
    desk = make_desk()
    desk.wanted = desired(style="rest", reprice_after_s=60)
    await desk.start()
    await within(20, lambda: any(order.status is OrderStatus.WORKING for order in desk.books.open_orders()))
    desk.wanted = desired(state="HALTED", version=2, style="rest", reprice_after_s=60)
    await within(30, lambda: desk.books.state is TradingState.HALTED and not desk.books.open_orders())
    orders = len(desk.books.orders)
    await asyncio.sleep(2.5)
    assert len(desk.books.orders) == orders
    await desk.stop()
    again = make_desk()
    again.wanted = desired(style="rest")
    await again.start()
    await within(30, lambda: again.loop.reconciled)
    await asyncio.sleep(2.5)
    assert again.books.state is TradingState.HALTED
    assert len(again.books.orders) == orders
    again.wanted = desired(version=3)
    await within(30, lambda: len(again.books.orders) > orders)
    await quiet(again)
    await again.stop()
    await assert_books_agree(again, venue)


async def test_a_cut_connection_stops_entries_until_books_were_compared(
    venue: PaperVenue, make_desk: MakeDesk, tmp_path: Path
) -> None:
    desk = make_desk()
    await desk.start()
    await within(20, lambda: desk.books.fills >= 1)
    care = desk.loop.home.caretaker
    assert care is not None
    passes = care.passes
    await venue.fault(drop_websockets=True)
    await within(30, lambda: care.passes > passes and desk.loop.reconciled)
    fills = desk.books.fills
    await within(20, lambda: desk.books.fills > fills)
    await quiet(desk)
    await desk.stop()
    await assert_books_agree(desk, venue)
    done = [event for event in journalled(tmp_path / "journal") if isinstance(event, ReconciliationDone)]
    assert any("account stream lost" in line for event in done for line in event.breaks)
    assert done[-1].ok


async def test_a_late_wake_trusts_nothing_and_compares_first(
    venue: PaperVenue, make_desk: MakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk()
    await desk.start()
    await within(20, lambda: desk.books.fills >= 2)
    adapter, offsets = desk.loop.home.dialect.venue, list[int]()
    measure = adapter.synchronise_clock

    async def measured() -> int:
        offsets.append(await measure())
        return offsets[-1]

    monkeypatch.setattr(adapter, "synchronise_clock", measured)
    paused = time.time_ns()
    time.sleep(3.5)  # noqa: ASYNC251  # stands for a stopped process
    woken = time.time_ns()
    await within(30, lambda: desk.loop.kernel.gaps == 1)
    await within(30, lambda: desk.loop.reconciled)
    await within(30, lambda: offsets)
    fills = desk.books.fills
    await within(20, lambda: desk.books.fills > fills)
    await quiet(desk)
    await desk.stop()
    await assert_books_agree(desk, venue)
    events = journalled(tmp_path / "journal")
    compared = next(e.ts for e in events if isinstance(e, ReconciliationDone) and e.ok and e.ts > woken)
    left = [e for e in events if isinstance(e, OrderIntended) and paused + 3_000_000_000 < e.ts < compared]
    assert left == []


async def test_nothing_is_ordered_without_limits_or_while_a_forecast_is_missing(
    venue: PaperVenue, make_desk: MakeDesk, tmp_path: Path
) -> None:
    desk = make_desk()
    desk.forecasts.silent = True
    await desk.start()
    await within(30, lambda: desk.forecasts.asked >= 2)
    await asyncio.sleep(1)
    assert desk.books.orders == {}
    await desk.stop()
    assert not any(isinstance(event, OrderDenied) for event in journalled(tmp_path / "journal"))


async def test_a_full_disk_stops_orders_and_trading_goes_on_when_there_is_room(
    venue: PaperVenue, make_desk: MakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk()
    await desk.start()
    await within(20, lambda: desk.books.fills >= 1)
    full = OSError(28, "No space left on device")
    real = desk.journal._write_bytes
    monkeypatch.setattr(desk.journal, "_write_bytes", lambda data: (full, 0))
    await within(30, lambda: desk.loop.gateway.broken)
    truth = len((await venue.truth())["orders"])
    await asyncio.sleep(2.5)
    assert len((await venue.truth())["orders"]) <= truth + 1
    assert not desk.loop.reconciled
    monkeypatch.setattr(desk.journal, "_write_bytes", real)
    await within(30, lambda: desk.loop.reconciled)
    fills = desk.books.fills
    await within(20, lambda: desk.books.fills > fills)
    await quiet(desk)
    await desk.stop()
    await assert_books_agree(desk, venue)
