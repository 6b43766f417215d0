"""Funding of perpetuals in the books: cash that longs and shorts pay each other, which is neither a trade nor a fee."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.engine.accounting.records import Anomaly
from workers.engine.events import FundingSettled
from workers.engine.instruments import MONEY_PER_ATOM

if TYPE_CHECKING:
    from workers.engine.accounting.books import Books
    from workers.engine.accounting.line import Line


def settlement_key(event: FundingSettled) -> tuple[str, int]:
    """What makes a settlement idempotent; it shares the books' set of trades, so no trade's key may equal it."""
    return f"{event.symbol} funding", event.ts_event


def on_settled(books: Books, event: FundingSettled) -> tuple[Line, ...]:
    """Book one settlement once, at the symbol's venue; an unknown symbol is noted and moves cash all the same."""
    key = settlement_key(event)
    if key in books.trades:
        return ()
    books.trades.add(key)
    amount = event.amount * MONEY_PER_ATOM
    books.pay(books.venue_of(event.symbol), amount)
    books.funding += amount
    line = books.lines.get(event.symbol)
    if line is None:
        detail = f"{event.symbol} {event.amount}"
        books.anomalies.append(Anomaly(event.ts, "funding_in_unknown_instrument", "", detail))
        return ()
    line.funding += amount
    return (line,)
