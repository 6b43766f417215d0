"""Executions and adopted balances in the books: position, cash, fee and order. Functions of the books; pure.

Each moves what lies at the venue of its symbol or asset and nothing of any other venue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.engine import events as e
from workers.engine.accounting import parents
from workers.engine.accounting.line import Line
from workers.engine.accounting.records import Anomaly, BooksError
from workers.engine.execution.orders import Order, Report
from workers.engine.instruments import MONEY_PER_ATOM, split_key
from workers.engine.vocabulary import Side

if TYPE_CHECKING:
    from workers.engine.accounting.books import Books

Touched = tuple[Line, ...]


def on_adopted(books: Books, event: e.BalanceAdopted) -> Touched:
    """The venue's balance is ours; what is new has no cost yet, and what is gone took its cost with it.

    BooksError for the balance of a venue that no session declared.
    """
    name, at = split_key(event.asset)
    if at and at not in books.cash_at:
        known = ", ".join(venue or "none" for venue in books.cash_at)
        first = "open a session with the venue's instruments first"
        raise BooksError(f"expected a balance at one of {known}, was {event.asset}; {first}")
    if name == books.quote:
        venue = at or books.venue
        change = event.total * MONEY_PER_ATOM - books.cash_at.get(venue, 0)
        books.capital += change
        books.pay(venue, change)
        return ()
    line = books.line_of_base(event.asset)
    if line is None:
        books.other[event.asset] = event.total
        return ()
    change = event.total - line.position
    if change >= 0:
        line.position += change
        line.unpriced += change
    else:
        removed = line.take_out(-change)
        books.cost -= removed
        books.capital -= removed
    return (line,)


def on_filled(books: Books, event: e.OrderFilled) -> Touched:
    """One execution, once."""
    trade = (event.symbol, event.trade_id)
    if trade in books.trades:
        return ()
    line = books.lines.get(event.symbol)
    if line is None:
        note(books, event.ts, "fill_in_unknown_instrument", event.client_id, f"{event.symbol} {event.trade_id}")
        return ()
    books.trades.add(trade)
    books.fills += 1
    notional = event.price * event.lots * line.lot_value
    touched = _book(books, line, event, notional)
    order = books.orders.get(event.client_id)
    if order is None:
        note(books, event.ts, "fill_for_unknown_order", event.client_id, f"{event.symbol} {event.trade_id}")
    elif order.symbol != event.symbol or order.side is not event.side:
        detail = f"{event.side.name} {event.symbol} {event.trade_id}"
        note(books, event.ts, "fill_contradicts_order", event.client_id, detail)
    else:
        _fill_order(books, line, order, event, notional)
    return touched


def bring_in(books: Books, line: Line, ticks: int) -> None:
    """Price what was adopted: its worth is capital."""
    value = line.price_adopted(ticks)
    books.capital += value
    books.cost += value


def note(books: Books, ts: int, kind: str, client_id: str, detail: str) -> None:
    """Keep an anomaly in sight."""
    books.anomalies.append(Anomaly(ts, kind, client_id, detail))


def _book(books: Books, line: Line, event: e.OrderFilled, notional: int) -> Touched:
    """Move position and cash, then the fee in whichever asset it was taken."""
    if line.unpriced:
        bring_in(books, line, event.price)
    before, atoms = line.cost, event.lots * line.lot_atoms
    if event.side is Side.BUY:
        books.cash -= notional
        books.cash_at[line.venue] -= notional
        books.realised += line.trade(atoms, notional)
    else:
        books.cash += notional
        books.cash_at[line.venue] += notional
        books.realised += line.trade(-atoms, notional)
    payer = _pay_fee(books, line, event) if event.fee else None
    books.cost += line.cost - before
    return (line,) if payer is None else (line, payer)


def _pay_fee(books: Books, line: Line, event: e.OrderFilled) -> Line | None:
    """Take the fee; return the line that it was taken from when that is not the fill's own."""
    asset, fee = event.fee_asset, event.fee
    books.fees_paid[asset] = books.fees_paid.get(asset, 0) + fee
    instrument = line.instrument
    if asset == instrument.quote_key or split_key(asset)[0] == books.quote:
        paid = fee * MONEY_PER_ATOM
        books.pay(line.venue if asset == instrument.quote_key else books.venue_of(asset), -paid)
    elif asset == instrument.base_key:
        # Handing over base is selling it at the fill's price and paying the proceeds as the fee.
        paid = fee * event.price * line.value_factor
        books.realised += line.trade(-fee, paid)
    elif (other := books.line_of_base(asset)) is not None:
        paid = other.take_out(fee)
        books.cost -= paid
        other.fees += paid
        books.fees += paid
        return other
    else:
        books.other[asset] = books.other.get(asset, 0) - fee
        return None
    line.fees += paid
    books.fees += paid
    return None


def _fill_order(books: Books, line: Line, order: Order, event: e.OrderFilled, notional: int) -> None:
    if not order.open:
        note(books, event.ts, "fill_after_end", order.client_id, f"{order.status.value} {event.trade_id}")
    order.filled += event.lots
    order.notional += notional
    order.updated = event.ts
    if order.filled > order.lots:
        note(books, event.ts, "overfill", order.client_id, f"{order.filled} of {order.lots} lots")
    parent = books.parents.get(order.parent_id) if order.parent_id else None
    if parent is not None:
        books.markouts.on_fill(parent, event, parents.unit_of(books, parent, line))
        if not parents.filled(parent, line, event, notional):
            note(books, event.ts, "parent_overfill", parent.parent_id, f"{parent.filled} of {parent.lots} lots")
    books.report(line, order, Report.ALL_FILLED if order.filled >= order.lots else Report.PART_FILLED)
