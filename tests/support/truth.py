"""The checker of the fault tests: what the venue's own log says, held against our journal and our records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tests.support.desk import Desk
from tests.support.stack import Stack, eventually
from workers.adapters import journal
from workers.engine.accounting.books import Books
from workers.engine.config import KernelConfig
from workers.engine.events import JournalEvent, OrderFilled, OrderIntended, OrderSent
from workers.engine.instruments import from_atoms

MS: Final = 1_000_000
# A venue's time stamps are whole milliseconds, and both sides read the same clock.
SEND_WITHIN_MS: Final = KernelConfig().send_within_ns // MS + 2
VENUE_OPEN: Final = ("NEW", "PARTIALLY_FILLED")


@dataclass(frozen=True)
class Trade:
    """One execution. Two views must agree on every field."""

    client_id: str
    buy: bool
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str


@dataclass(frozen=True)
class Standing:
    """How one order stands."""

    filled: Decimal
    open: bool
    at_venue: bool
    """The venue is known to have it."""


@dataclass
class View:
    """What one party says: the venue, the journal, or the records behind the API."""

    name: str
    orders: dict[str, Standing] = field(default_factory=dict)
    trades: dict[tuple[str, int], Trade] = field(default_factory=dict)
    balances: dict[str, Decimal] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    """Client ids that came more than once."""


def of_venue(truth: Mapping[str, Any], key: Callable[[str], str] = str) -> View:
    """What the venue answers; ``key`` gives the books' name of its symbols and assets."""
    rows = truth["orders"]
    names = {(row["symbol"], row["orderId"]): row["clientOrderId"] for row in rows}
    view = View("venue", twice=_twice(row["clientOrderId"] for row in rows))
    for row in rows:
        is_open = row["status"] in VENUE_OPEN
        view.orders[row["clientOrderId"]] = Standing(Decimal(row["executedQty"]), is_open, at_venue=True)
    for row in truth["trades"]:
        trade = (key(row["symbol"]), int(row["id"]))
        if trade in view.trades:
            view.twice.append(f"trade {trade}")
        view.trades[trade] = Trade(
            names[row["symbol"], row["orderId"]],
            row["isBuyer"],
            Decimal(row["qty"]),
            Decimal(row["price"]),
            Decimal(row["commission"]),
            key(row["commissionAsset"]),
        )
    view.balances = {key(row["asset"]): Decimal(row["free"]) + Decimal(row["locked"]) for row in truth["balances"]}
    return view


def events(folder: Path) -> list[JournalEvent]:
    """Every event of the execution journal, its chain checked."""
    return [record.event for record in journal.read(folder)]


class JournalView:
    """The books that follow from a journal, taken event by event."""

    def __init__(self) -> None:
        self.view = View("journal")
        self.books = Books()
        self.decided: dict[str, int] = {}
        """When each order was decided, ns by our clock."""
        self.children: dict[str, list[str]] = {}
        """Client ids of the children by parent, in the order of their numbers."""
        self._sent: set[str] = set()

    def take(self, told: Iterable[JournalEvent]) -> None:
        """Go on with the next events."""
        for event in told:
            self._take(event)
        self.view.balances = {asset: from_atoms(atoms) for asset, atoms in self.books.balances().items()}

    def _take(self, event: JournalEvent) -> None:
        books, client_id = self.books, str(getattr(event, "client_id", ""))
        books.apply(event)
        if type(event) is OrderIntended:
            if client_id in self.decided:
                self.view.twice.append(client_id)
            self.decided[client_id] = event.ts
            if event.parent_id:
                self._child(event)
        elif type(event) is OrderSent:
            if client_id in self._sent:
                self.view.twice.append(f"{client_id} sent")
            self._sent.add(client_id)
        elif type(event) is OrderFilled:
            self._trade(event)
        if (order := books.orders.get(client_id)) is not None:
            filled = books.lines[order.symbol].instrument.quantity(order.filled)
            self.view.orders[client_id] = Standing(filled, order.open, at_venue=bool(order.venue_order_id))

    def _child(self, event: OrderIntended) -> None:
        children = self.children.setdefault(event.parent_id, [])
        children.append(event.client_id)
        if event.child != len(children):
            self.view.twice.append(f"number {event.child} of parent {event.parent_id}")

    def _trade(self, event: OrderFilled) -> None:
        instrument, key = self.books.lines[event.symbol].instrument, (event.symbol, event.trade_id)
        if key in self.view.trades:
            self.view.twice.append(f"trade {key}")
        self.view.trades[key] = Trade(
            event.client_id,
            event.side > 0,
            instrument.quantity(event.lots),
            instrument.price(event.price),
            from_atoms(event.fee),
            event.fee_asset,
        )


def of_journal(told: Iterable[JournalEvent]) -> View:
    """The books that follow from the journal."""
    journalled = JournalView()
    journalled.take(told)
    return journalled.view


def of_records(desk: Desk) -> View:
    """What the API answers."""
    orders, view = desk.rows("trading/orders/"), View("records")
    view.twice = _twice(row["client_id"] for row in orders)
    for row in orders:
        known = bool(row["venue_order_id"])
        view.orders[row["client_id"]] = Standing(Decimal(row["filled_quantity"]), row["open"], at_venue=known)
    for row in desk.rows("trading/fills/"):
        key = (row["symbol"], int(row["trade_id"]))
        if key in view.trades:
            view.twice.append(f"trade {key}")
        view.trades[key] = Trade(
            row["client_id"],
            row["side"] == "BUY",
            Decimal(row["quantity"]),
            Decimal(row["price"]),
            Decimal(row["fee"]),
            row["fee_asset"],
        )
    view.balances = {row["asset"]: Decimal(row["total"]) for row in desk.get("trading/account/")["balances"]}
    return view


def lacks(ours: View, venue: View) -> list[str]:
    """What the venue knows and ``ours`` does not, or knows otherwise; ``ours`` may be the newer of the two."""
    problems = [f"{ours.name}: {what} came twice" for what in ours.twice]
    problems += [f"venue: {what} came twice" for what in venue.twice]
    for client_id, standing in venue.orders.items():
        known = ours.orders.get(client_id)
        if known is None:
            problems.append(f"{ours.name} lacks order {client_id}")
        elif known.filled < standing.filled:
            problems.append(f"{ours.name}: {client_id} filled {known.filled}, at the venue {standing.filled}")
    for key, trade in venue.trades.items():
        if ours.trades.get(key) != trade:
            problems.append(f"{ours.name} has trade {key} as {ours.trades.get(key)}, the venue as {trade}")
    return problems


def invents(ours: View, venue: View) -> list[str]:
    """What ``ours`` claims and the venue does not know; ``venue`` may be the newer of the two."""
    problems = [f"{ours.name}: the venue has no trade {key}" for key in ours.trades.keys() - venue.trades.keys()]
    for client_id, standing in ours.orders.items():
        known = venue.orders.get(client_id)
        if known is None and (standing.at_venue or standing.filled):
            problems.append(f"{ours.name}: the venue has no order {client_id}, here {standing}")
        elif known is not None and (standing.filled > known.filled or (known.open and not standing.open)):
            problems.append(f"{ours.name}: {client_id} is {standing}, at the venue {known}")
    return problems


def astray(ours: JournalView, venue: View) -> list[str]:
    """Parents whose children, by the venue's word, do more than they were asked for, or outlive them."""
    problems, books, nothing = [], ours.books, Standing(Decimal(0), open=False, at_venue=False)
    for parent_id, children in ours.children.items():
        parent = books.parents[parent_id]
        quantity = books.lines[parent.symbol].instrument.quantity
        standings = {child: venue.orders.get(child, nothing) for child in children}
        done = sum((standing.filled for standing in standings.values()), Decimal(0))
        wanted = {child: _quantity(books, child) for child in children}
        still = sum((wanted[child] - one.filled for child, one in standings.items() if one.open), Decimal(0))
        if done != quantity(parent.filled):
            problems.append(f"parent {parent_id} has {quantity(parent.filled)}, its children at the venue {done}")
        if done + still > quantity(parent.lots):
            problems.append(f"parent {parent_id} of {quantity(parent.lots)} has {done} and {still} open at the venue")
        if still and not parent.status.is_live:
            problems.append(f"parent {parent_id} is {parent.status.value} and has {still} open at the venue: an orphan")
    return problems


def _quantity(books: Books, client_id: str) -> Decimal:
    """What the order was for; a routed parent's child is in the instrument of its own venue."""
    order = books.orders[client_id]
    return books.lines[order.symbol].instrument.quantity(order.lots)


def differences(ours: View, venue: View) -> list[str]:
    """Everything in which two quiet views differ."""
    problems = lacks(ours, venue) + invents(ours, venue)
    for client_id, standing in ours.orders.items():
        known = venue.orders.get(client_id)
        if standing.open != (known is not None and known.open):
            problems.append(f"{ours.name}: {client_id} is {standing}, at the venue {known}")
    for asset in sorted(ours.balances.keys() | venue.balances.keys()):
        here, there = ours.balances.get(asset, Decimal(0)), venue.balances.get(asset, Decimal(0))
        if here != there:
            problems.append(f"{ours.name}: {asset} is {here}, at the venue {there}")
    return problems


def late(told: Iterable[JournalEvent], truth: Mapping[str, Any]) -> list[str]:
    """Orders that reached the venue after their time: decided on what was known before a pause."""
    decided = {event.client_id: event.ts // MS for event in told if type(event) is OrderIntended}
    return [
        f"{row['clientOrderId']} was decided {row['time'] - decided[row['clientOrderId']]} ms before the venue had it"
        for row in truth["orders"]
        if row["clientOrderId"] in decided and row["time"] - decided[row["clientOrderId"]] > SEND_WITHIN_MS
    ]


class Checker:
    """Holds the three views of one stack against each other."""

    def __init__(self, stack: Stack, desk: Desk) -> None:
        self.stack = stack
        self.desk = desk

    @property
    def folder(self) -> Path:
        return self.stack.state / "journal"

    def books(self) -> Books:
        """What follows from the journal as it is now."""
        journalled = JournalView()
        journalled.take(events(self.folder))
        return journalled.books

    def parents(self) -> list[str]:
        """In what the records of parents differ from the journal's."""
        rows, books = {row["parent_id"]: row for row in self.desk.rows("parents/")}, self.books()
        problems = [f"records lack parent {parent_id}" for parent_id in books.parents.keys() - rows.keys()]
        for parent_id in books.parents.keys() & rows.keys():
            parent, row = books.parents[parent_id], rows[parent_id]
            filled = books.lines[parent.symbol].instrument.quantity(parent.filled)
            ours = (parent.status.value, filled, parent.children)
            theirs = (row["status"], Decimal(row["filled_quantity"]), row["children"])
            if ours != theirs:
                problems.append(f"parent {parent_id} is {ours} in the journal, {theirs} in the records")
        return problems

    def nothing_lost(self, seconds: float = 60) -> None:
        """While trading goes on: all that the venue did by now gets into journal and records, and no more than that."""
        begun = eventually(self.stack.truth, "the venue answers", seconds)
        venue = of_venue(begun)

        def found() -> bool:
            missing = lacks(of_journal(events(self.folder)), venue) + lacks(of_records(self.desk), venue)
            assert not [problem for problem in missing if "twice" in problem], missing
            if missing:
                raise ValueError("; ".join(missing[:5]))
            return True

        eventually(found, "journal and records have what the venue has", seconds, every=0.5)
        told = events(self.folder)
        ours = [of_journal(told), of_records(self.desk)]
        now = self.stack.truth()
        problems = [problem for view in ours for problem in invents(view, of_venue(now))] + late(told, now)
        assert not problems, problems[:10]

    def exact(self, seconds: float = 60) -> None:
        """When nothing moves: the three views are the same to the last digit, and the journal's chain holds."""

        def same() -> bool:
            venue = of_venue(self.stack.truth())
            journalled = JournalView()
            journalled.take(events(self.folder))
            views = [journalled.view, of_records(self.desk)]
            problems = [problem for view in views for problem in differences(view, venue)]
            problems += astray(journalled, venue) + self.parents()
            if problems:
                raise ValueError("; ".join(problems[:8]))
            return True

        eventually(same, "journal, records and venue agree", seconds, every=0.5)
        told, truth = events(self.folder), self.stack.truth()
        assert not late(told, truth)
        verified = journal.verify(self.folder)
        assert verified.ok, verified.problem

    def newest_order_ms(self) -> int:
        """When the venue took its newest order, by its clock."""
        return max((row["time"] for row in self.stack.truth()["orders"]), default=0)


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
