"""A routed parent in the trading loop against two real paper venues: to the last lot, and after a restart too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.execution import (
    Desk,
    PaperVenue,
    assert_books_agree,
    at_beta,
    journalled,
    paper_venue,
    within,
)
from workers.engine.events import OrderIntended, RouteDecided
from workers.engine.execution.parent import ParentRequest, ParentStatus
from workers.engine.vocabulary import FeedState, Side
from workers.live.route_check import main as check

BETA = "BTCUSDT@beta"
LOTS = 90_000


@pytest.fixture
async def venues(tmp_path: Path) -> AsyncIterator[tuple[PaperVenue, PaperVenue]]:
    async with paper_venue(tmp_path / "home") as home, paper_venue(tmp_path / "beta") as beta:
        yield home, beta


def asked(**fields: Any) -> dict[str, Any]:
    now = time.time_ns()
    request = ParentRequest(
        symbol="BTCUSDT", side=Side.BUY, lots=LOTS, algorithm="sweep", start=now, route=True, **fields
    )
    return {"parent_id": "p-1", "by": "ann", "request": msgspec.to_builtins(request), "cancelled": ""}


def make(folder: Path, home: PaperVenue, beta: PaperVenue) -> Desk:
    desk = Desk(folder, home.url, others=(at_beta(beta),), order_timeout_s=1.0)
    desk.forecasts.silent = True
    return desk


def seen(desk: Desk) -> bool:
    markets = desk.loop.kernel.desk.markets
    return desk.loop.reconciled and all(markets[name].feed is FeedState.LIVE for name in ("BTCUSDT", BETA))


async def test_a_sweep_over_two_venues_fills_to_the_lot_over_a_restart(
    venues: tuple[PaperVenue, PaperVenue], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, beta = venues
    desk = make(tmp_path / "journal", home, beta)
    await desk.start()
    await within(20, lambda: seen(desk))
    desk.wanted = msgspec.structs.replace(desk.wanted, parents=[asked()])
    await within(10, lambda: any(order.symbol == BETA and order.filled for order in desk.books.orders.values()))
    await desk.kill()
    desk = make(tmp_path / "journal", home, beta)
    await desk.start()
    await within(40, lambda: desk.books.parents["p-1"].status is ParentStatus.FILLED)
    await within(10, lambda: not desk.books.open_orders() and desk.journal.durable_seq == desk.journal.position.seq)
    await asyncio.sleep(0.3)
    await desk.stop()
    await assert_books_agree(desk, home)
    await assert_books_agree(desk, beta, "beta")
    assert desk.books.parents["p-1"].filled == LOTS
    assert not desk.books.anomalies
    told = journalled(tmp_path / "journal")
    legs = [event for event in told if isinstance(event, OrderIntended) and event.parent_id == "p-1"]
    assert {leg.symbol for leg in legs} == {"BTCUSDT", BETA}
    number = sum(isinstance(event, RouteDecided) for event in told)
    assert check([str(tmp_path / "journal")]) == 0
    assert f"ok: {number} decisions made again" in capsys.readouterr().out
