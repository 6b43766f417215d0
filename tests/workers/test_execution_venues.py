"""One loop, several venues: each venue's books are right, and the loss of one is the loss of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from tests.support.execution import (
    SYMBOLS,
    Desk,
    PaperVenue,
    assert_books_agree,
    at_beta,
    desired,
    journalled,
    paper_venue,
    within,
)
from workers.engine.events import FeedChanged, OrderIntended, ReconciliationDone, SessionOpened
from workers.engine.vocabulary import FeedState, Side
from workers.live.execution.control import Desired
from workers.live.execution.publish import status

BETA = "BTCUSDT@beta"
TRADED = (*SYMBOLS, BETA)

MakeDesk = Callable[[PaperVenue, PaperVenue], Desk]


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[PaperVenue]:
    async with paper_venue(tmp_path / "home") as running:
        yield running


@pytest.fixture
async def make_desk(tmp_path: Path) -> AsyncIterator[MakeDesk]:
    """Makes desks on one journal and ends those that a failed test leaves behind."""
    made: list[Desk] = []

    def make(home: PaperVenue, beta: PaperVenue) -> Desk:
        made.append(Desk(tmp_path / "journal", home.url, others=(at_beta(beta),), order_timeout_s=1.0))
        made[-1].wanted = both()
        return made[-1]

    yield make
    for desk in made:
        if not desk.ended:
            await desk.kill()


def both() -> Desired:
    """Trade at both venues."""
    base = desired()
    return msgspec.structs.replace(base, runs=[{**base.runs[0], "instruments": list(TRADED)}])


def fills(desk: Desk, symbol: str) -> int:
    return sum(traded == symbol for traded, _ in desk.books.trades)


async def quiet(desk: Desk) -> None:
    """Stop asking for trades and wait until nothing is open and every venue was compared."""
    desk.forecasts.silent = True
    await within(30, lambda: not desk.books.open_orders() and desk.loop.reconciled)
    await asyncio.sleep(0.2)


async def test_venues_of_one_process_get_their_own_orders_and_a_cut_of_one_is_its_own(
    make_desk: MakeDesk, tmp_path: Path
) -> None:
    async with paper_venue(tmp_path / "home", venues="beta") as home:
        beta = PaperVenue(f"{home.url}/venues/beta")
        desk = make_desk(home, beta)
        await desk.start()
        await within(20, lambda: all(fills(desk, symbol) for symbol in TRADED))
        care = desk.loop.venues.others[0].caretaker
        assert care is not None
        passes = care.passes
        await beta.fault(drop_websockets=True)
        await within(30, lambda: care.passes > passes and desk.loop.reconciled)
        there = fills(desk, BETA)
        await within(20, lambda: fills(desk, BETA) > there)
        await quiet(desk)
        await desk.stop()
        await assert_books_agree(desk, home)
        await assert_books_agree(desk, beta, "beta")
    done = [event for event in journalled(tmp_path / "journal") if isinstance(event, ReconciliationDone)]
    assert {event.venue for event in done if not event.compared} == {"beta"}


async def test_a_lost_venue_stops_orders_there_alone_and_a_restart_resumes_both(
    home: PaperVenue, make_desk: MakeDesk, tmp_path: Path
) -> None:
    async with paper_venue(tmp_path / "beta") as beta:
        port = int(beta.url.rsplit(":", 1)[1])
        desk = make_desk(home, beta)
        await desk.start()
        await within(20, lambda: all(fills(desk, symbol) for symbol in TRADED))
        assert desk.loop.reconciled
        depth = desk.loop.kernel.desk.depth
        assert depth is not None
        bids = depth(BETA, Side.BUY, 3)
        assert len(bids) == 3
        assert bids[0][0] > bids[1][0] > bids[2][0]
        await quiet(desk)
        await assert_books_agree(desk, home)
        await assert_books_agree(desk, beta, "beta")
        desk.forecasts.silent = False
    await within(30, lambda: not desk.loop.connected)
    assert status(desk.loop, "")["venues"]["beta"]["connected"] is False
    assert status(desk.loop, "")["venues"]["paper"] == {"connected": True, "reconciled": True, "problem": ""}
    there = sum(order.symbol == BETA for order in desk.books.orders.values())
    here = fills(desk, "BTCUSDT")
    await within(30, lambda: fills(desk, "BTCUSDT") > here + 1)
    assert sum(order.symbol == BETA for order in desk.books.orders.values()) == there
    async with paper_venue(tmp_path / "beta", port=port) as beta:
        await within(20, lambda: desk.loop.reconciled)
        there = fills(desk, BETA)
        await within(20, lambda: fills(desk, BETA) > there)
        await desk.kill()
        again = make_desk(home, beta)
        there, here = fills(again, BETA), fills(again, "BTCUSDT")
        await again.start()
        await within(20, lambda: fills(again, BETA) > there and fills(again, "BTCUSDT") > here)
        await quiet(again)
        await again.stop()
        await assert_books_agree(again, home)
        await assert_books_agree(again, beta, "beta")
    lost = [e for e in journalled(tmp_path / "journal") if isinstance(e, ReconciliationDone) and not e.compared]
    assert {event.venue for event in lost} == {"beta"}
    assert not again.books.anomalies


async def test_a_venue_that_does_not_answer_at_the_start_joins_when_it_does(
    home: PaperVenue, make_desk: MakeDesk, tmp_path: Path
) -> None:
    async with paper_venue(tmp_path / "beta") as beta:
        port = int(beta.url.rsplit(":", 1)[1])
    desk = make_desk(home, beta)
    desk.wanted = desired()
    await desk.start()
    await within(20, lambda: desk.books.fills >= 2)
    told = status(desk.loop, "")["venues"]["beta"]
    assert not told["connected"]
    assert "no connection" in told["problem"]
    async with paper_venue(tmp_path / "beta", port=port):
        await within(25, lambda: desk.loop.venues.others[0].reconciled)
        opened = [event for event in journalled(tmp_path / "journal") if isinstance(event, SessionOpened)]
        assert [event.epoch for event in opened] == [1, 1]
        assert desk.books.venues == ("paper", "beta")
        assert desk.loop.home.reconciled
        await within(30, lambda: desk.loop.kernel.desk.markets[BETA].feed is FeedState.LIVE)
        await quiet(desk)
        await desk.stop()
        await assert_books_agree(desk, beta, "beta")
    # Known from the journal and away again: shown as lost, and never ordered at.
    absent = make_desk(home, beta)
    await absent.start()
    before = fills(absent, "BTCUSDT")
    await within(20, lambda: fills(absent, "BTCUSDT") > before)
    await absent.stop()
    events = journalled(tmp_path / "journal")
    begun = [event for event in events if isinstance(event, SessionOpened)][-1].ts
    later = [event for event in events if event.ts >= begun]
    assert any(isinstance(e, FeedChanged) and e.symbol == BETA and e.state is FeedState.STALE for e in later)
    assert not any(isinstance(event, OrderIntended) and event.symbol == BETA for event in later)
