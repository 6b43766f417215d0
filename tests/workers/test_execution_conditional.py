"""Brackets over the real loop and paper venue, through a killed worker: exits follow fills, and all books agree."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from tests.support.execution import Desk, assert_books_agree, journalled, paper_venue, within
from workers.engine import events as e
from workers.engine.desk import Desk as StrategyDesk
from workers.engine.events import TopOfBook
from workers.engine.execution.conditional_place import Bracket
from workers.engine.execution.conditional_types import ConditionalStatus
from workers.engine.execution.plan import take
from workers.engine.risk.gate import OrderRequest
from workers.engine.strategy import Params, Strategy, register
from workers.engine.vocabulary import Side


class BracketParams(Params, frozen=True):
    """Basis points from the entry to each exit."""

    width_bps: int = 1


@register("test_brackets", BracketParams)
class Brackets(Strategy[BracketParams]):
    """Always in one bracket: buys at the touch, and takes what the exits make of it."""

    def on_top(self, desk: StrategyDesk, top: TopOfBook) -> None:
        if top.symbol != "BTCUSDT" or desk.busy(top.symbol) or desk.books.conditionals.of(top.symbol):
            return
        width = top.bid * self.params.width_bps // 10_000
        kind, tif, price = take(Side.BUY, bid=top.bid, ask=top.ask, offset_ticks=10)
        entry = OrderRequest(symbol=top.symbol, side=Side.BUY, lots=2000, price=price, order_type=kind, tif=tif)
        resting = desk.books.decisions % 2 == 0
        desk.hold(Bracket(entry=entry, stop_loss=top.bid - width, take_profit=price + width, hold_profit=not resting))


def plan(desk: Desk) -> None:
    """Want the brackets instead of the forecasts."""
    run = {**desk.wanted.runs[0], "strategy": "test_brackets", "params": {}, "model_digest": ""}
    desk.wanted = msgspec.structs.replace(desk.wanted, runs=[run])


def finished(desk: Desk, *statuses: ConditionalStatus) -> list[Any]:
    return [order for order in desk.books.conditionals.all.values() if order.status in statuses]


async def test_brackets_are_worked_through_a_killed_worker_and_no_exit_exceeds_its_entry(tmp_path: Path) -> None:
    async with paper_venue(tmp_path / "venue", events_per_second=400.0) as venue, contextlib.AsyncExitStack() as stack:
        first = Desk(tmp_path / "journal", venue.url)
        stack.push_async_callback(end, first)
        plan(first)
        await first.start()
        await within(30, lambda: len(finished(first, ConditionalStatus.FILLED)) >= 2)
        await within(30, lambda: first.books.conditionals.count() == 2 and first.books.fills > 2)
        await first.kill()
        held = set(first.books.conditionals.of("BTCUSDT"))
        second = Desk(tmp_path / "journal", venue.url)
        stack.push_async_callback(end, second)
        plan(second)
        await second.start()
        assert held & set(second.books.conditionals.all), "what was held is held again"
        count = len(finished(second, ConditionalStatus.FILLED))
        await within(30, lambda: len(finished(second, ConditionalStatus.FILLED)) > count)
        second.wanted = msgspec.structs.replace(second.wanted, runs=[])
        await within(30, lambda: not second.books.runs and not second.books.open_orders())
        assert second.books.conditionals.count() == 0
        await second.stop()
        await assert_books_agree(second, venue)
    books = second.books
    for order in books.conditionals.all.values():
        entry = books.orders.get(order.entry)
        legs = books.conditionals.group(order)
        sold = sum(books.orders[child].filled for leg in legs for child in leg.children)
        assert sold <= (entry.filled if entry is not None else 0)
    ended = [event.client_id for event in journalled(tmp_path / "journal") if isinstance(event, e.ConditionalEnded)]
    assert len(ended) == len(set(ended))


async def end(desk: Desk) -> None:
    """End a desk that a failed test left behind."""
    if not desk.ended:
        await desk.kill()
