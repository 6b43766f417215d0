"""A routed parent in the trading loop against real paper venues: to the last lot, and after a restart too."""

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
from workers.engine.events import OrderFilled, OrderIntended, RouteDecided
from workers.engine.execution.parent import ParentRequest, ParentStatus
from workers.engine.market.venues import PAPER_DARK
from workers.engine.vocabulary import FeedState, Side
from workers.live.route_check import main as check

BETA, DARK = "BTCUSDT@beta", "BTCUSDT@dark"
LOTS = 90_000


@pytest.fixture
async def venues(tmp_path: Path) -> AsyncIterator[dict[str, PaperVenue]]:
    """Home, one with a book of its own, and a dark one in which there always is somebody, by name (home: "")."""
    dark = "dark:hidden_pct=100:hidden_most=10000000"
    async with paper_venue(tmp_path / "home", venues=f"beta,{dark}", events_per_second=6.0) as home:
        yield {"": home, **{name: PaperVenue(f"{home.url}/venues/{name}") for name in ("beta", "dark")}}


def asked(**fields: Any) -> dict[str, Any]:
    now = time.time_ns()
    request = ParentRequest(
        symbol="BTCUSDT", side=Side.BUY, lots=LOTS, algorithm="sweep", start=now, route=True, **fields
    )
    return {"parent_id": "p-1", "by": "ann", "request": msgspec.to_builtins(request), "cancelled": ""}


def make(folder: Path, venues: dict[str, PaperVenue]) -> Desk:
    others = (at_beta(venues["beta"]), at_beta(venues["dark"], "dark", code=PAPER_DARK.code))
    desk = Desk(folder, venues[""].url, others=others, order_timeout_s=1.0)
    desk.forecasts.silent = True
    return desk


def seen(desk: Desk) -> bool:
    markets = desk.loop.kernel.desk.markets
    return desk.loop.reconciled and all(markets[name].feed is FeedState.LIVE for name in ("BTCUSDT", BETA, DARK))


async def test_a_sweep_over_three_venues_fills_to_the_lot_over_a_restart(
    venues: dict[str, PaperVenue], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = make(tmp_path / "journal", venues)
    await desk.start()
    await within(20, lambda: seen(desk))
    desk.wanted = msgspec.structs.replace(desk.wanted, parents=[asked()])
    await within(30, lambda: any(order.symbol == BETA and order.filled for order in desk.books.orders.values()))
    await desk.kill()
    desk = make(tmp_path / "journal", venues)
    await desk.start()
    await within(40, lambda: desk.books.parents["p-1"].status is ParentStatus.FILLED)
    await within(30, lambda: not desk.books.open_orders() and desk.journal.durable_seq == desk.journal.position.seq)
    await asyncio.sleep(0.3)
    await desk.stop()
    for name, venue in venues.items():
        await assert_books_agree(desk, venue, name)
    assert desk.books.parents["p-1"].filled == LOTS
    assert not desk.books.anomalies
    told = journalled(tmp_path / "journal")
    legs = [event for event in told if isinstance(event, OrderIntended) and event.parent_id == "p-1"]
    assert {BETA, DARK} <= {leg.symbol for leg in legs}
    assert all(bool(leg.min_lots) == (leg.symbol == DARK) for leg in legs)
    hit = [event for event in told if isinstance(event, OrderFilled) and event.symbol == DARK]
    assert hit
    assert not desk.books.denied
    number = sum(isinstance(event, RouteDecided) for event in told)
    assert check([str(tmp_path / "journal")]) == 0
    assert f"ok: {number} decisions made again" in capsys.readouterr().out
