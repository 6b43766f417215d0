"""The account at the venue: the engine's reports made durable first, then told to the account's streams."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from workers.engine.execution.matching import MatchingEngine
from workers.engine.execution.matching_types import (
    Accepted,
    Ended,
    EndReason,
    Filled,
    NewOrder,
    Refused,
    Reports,
    Triggered,
    VenueOrder,
)
from workers.engine.instruments import MONEY_PER_ATOM, Instrument
from workers.engine.vocabulary import OrderStatus, Side
from workers.live.paper_venue import messages
from workers.live.paper_venue.faults import Faults
from workers.live.paper_venue.hub import Hub
from workers.live.paper_venue.journal import Entry, Journal, VenueTrade
from workers.live.paper_venue.wire import Grid

LISTEN_KEY_MS = 3_600_000

log = logging.getLogger(__name__)


class Books(msgspec.Struct):
    """What an earlier process left: balances without locks, orders, trades, number of the last session."""

    balances: dict[str, int]
    orders: dict[int, VenueOrder]
    trades: list[VenueTrade]
    session: int = 0


def recover(entries: Iterable[Entry]) -> Books:
    """Rebuild the books from the log."""
    books = Books({}, {}, [])
    for entry in entries:
        books.balances.update(entry.genesis)
        books.session = max(books.session, entry.session)
        for order in entry.orders:
            books.orders[order.order_id] = order
        for trade in entry.trades:
            books.trades.append(trade)
            paid, cost = trade.paid
            got, amount = trade.received
            books.balances[paid] -= cost
            books.balances[got] += amount
    return books


class Desk:
    """One account's orders: everything that the engine reports passes through here."""

    def __init__(
        self,
        engine: MatchingEngine,
        instruments: Iterable[Instrument],
        *,
        journal: Journal,
        hub: Hub,
        faults: Faults,
        clock: Callable[[], int],
    ) -> None:
        self.engine = engine
        self.grids: Mapping[str, Grid] = {i.symbol: Grid(i) for i in instruments}
        self.trades: list[VenueTrade] = []
        self.listen_keys: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self._journal = journal
        self._hub = hub
        self._faults = faults
        self._clock = clock
        self._held: list[bytes] = []

    def restore(self, books: Books, now: int) -> None:
        """Take over an earlier process's books; open orders on instruments that are gone expire."""
        self.trades = books.trades
        for order in books.orders.values():
            if order.status.is_open and order.symbol not in self.grids:
                order.status, order.end_reason, order.updated = OrderStatus.EXPIRED, EndReason.SESSION_BREAK, now
            self.engine.restore(order)

    def book(self, reports: Sequence[Reports], cancel_id: str = "") -> asyncio.Future[None]:
        """Log the reports, then publish them; the future is done when they are on disk.

        A log that cannot be written ends the process: what it then knows is what the log knows.
        """
        now = self._clock()
        steps = [r for r in reports if not isinstance(r, Refused)]
        trades = [self._trade(r) for r in steps if isinstance(r, Filled)]
        self.trades += trades
        for step in steps:
            name = type(step).__name__.lower()
            self.counts[name] = self.counts.get(name, 0) + 1
        events = self._events(steps, now, cancel_id)
        orders = {r.order.order_id: r.order for r in steps}
        written = self._journal.append(Entry(ts=now, orders=list(orders.values()), trades=trades))
        written.add_done_callback(lambda done: self._publish(done, events))
        return written

    def _events(self, steps: Sequence[Accepted | Triggered | Filled | Ended], now: int, cancel_id: str) -> list[bytes]:
        events: list[bytes] = []
        for step in steps:
            grid = self.grids[step.order.symbol]
            event = msgspec.json.encode(messages.execution_report(step, grid, now, cancel_id))
            events += [event, event] if self._faults.spend("duplicate_reports") else [event]
        touched, self.engine.balances.touched = self.engine.balances.touched, set()
        if touched:
            events.append(msgspec.json.encode(messages.account_position(self.engine.balances, touched, now)))
        return events

    def _publish(self, written: asyncio.Future[None], events: Sequence[bytes]) -> None:
        if written.cancelled():
            return
        if written.exception() is not None:
            log.critical("the venue's log cannot be written; stopping", exc_info=written.exception())
            signal.raise_signal(signal.SIGTERM)
            return
        held, self._held = self._held, []
        if not held and self._faults.spend("reorder_reports"):
            self._held = list(events)
            return
        for event in (*events, *held):
            self.publish(event)

    def publish(self, event: bytes) -> None:
        """Send a user data event to every stream of the account."""
        for key in self.listen_keys:
            self._hub.publish(key, event)
        self._hub.publish_subscriptions(event)

    def publish_refusal(self, new: NewOrder, refused: Refused) -> None:
        """Tell the account's streams that the new order of a cancel-replace was refused."""
        report = messages.refusal_report(new.side, new.symbol, refused, self._clock())
        self.publish(msgspec.json.encode(report))

    def _trade(self, report: Filled) -> VenueTrade:
        order, instrument = report.order, self.grids[report.order.symbol].instrument
        money = report.price * report.lots * instrument.lot_value
        base, quote = report.lots * instrument.lot_atoms, money // MONEY_PER_ATOM
        buy = order.side is Side.BUY
        sold, bought = ((instrument.quote, quote), (instrument.base, base))
        if not buy:
            sold, bought = bought, sold
        return VenueTrade(
            trade_id=report.trade_id,
            order_id=order.order_id,
            symbol=order.symbol,
            buy=buy,
            price=report.price,
            lots=report.lots,
            money=money,
            maker=report.maker,
            fee=report.fee,
            fee_asset=report.fee_asset,
            ts=report.ts,
            paid=sold,
            received=(bought[0], bought[1] - report.fee),
        )

    def truth(self) -> dict[str, Any]:
        """Orders, trades and balances in full, for checkers."""
        grids = self.grids
        return {
            "orders": [
                messages.order_row(o, grids[o.symbol]) for o in self.engine.orders.values() if o.symbol in grids
            ],
            "trades": [messages.trade_row(t, grids[t.symbol]) for t in self.trades if t.symbol in grids],
            "balances": messages.balance_rows(self.engine.balances),
        }
