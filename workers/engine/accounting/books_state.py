"""The books as one plain value, and back: what a snapshot of the journal holds of them. Pure.

Equal books give equal values, down to the order of what is walked; sets are sorted. Valuation is no part of it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from workers.engine.accounting.books import Books
from workers.engine.accounting.line import Line
from workers.engine.accounting.records import Anomaly, Cancels, Run
from workers.engine.execution.conditional_book import ConditionalState
from workers.engine.execution.markouts import Looks
from workers.engine.execution.orders import Order
from workers.engine.execution.parent import Parent
from workers.engine.instruments import Instrument
from workers.engine.vocabulary import FeedState, TradingState

MADE_ANEW: Final = frozenset(
    {"instrument", "open", "symbol", "lot_atoms", "lot_value", "value_factor", "fee_rate"}
    | {"mark", "value", "worst", "extreme", "watched"}
)
"""Fields of a line that follow from its instrument and orders, or belong to the valuation."""


class LineState(msgspec.Struct):
    """One line; ``open`` lists client ids, ``base`` is the key that the books find it by."""

    instrument: Instrument
    base: str
    open: list[str]
    venue: str
    position: int
    cost: int
    unpriced: int
    realised: int
    fees: int
    funding: int
    open_buy: int
    open_sell: int
    reserved: int
    unknown: int
    last_intent: int


LINE_FIELDS: Final = tuple(name for name in Line.__slots__ if name not in MADE_ANEW)


class BooksState(msgspec.Struct, kw_only=True):
    """All of ``Books``. ``working`` and ``bases`` are keys, in the order in which the books walk them."""

    lines: list[LineState]
    bases: list[str]
    orders: list[Order]
    conditionals: ConditionalState
    parents: list[Parent]
    working: list[str]
    trades: dict[str, list[int]]
    anomalies: list[Anomaly]
    cancels: Cancels
    quote: str
    venue: str
    venues: tuple[str, ...]
    epoch: int
    cash: int
    cash_at: dict[str, int]
    capital: int
    cost: int
    realised: int
    fees: int
    funding: int
    reserved: int
    reserved_at: dict[str, int]
    open_count: int
    fills: int
    decisions: int
    denied: dict[str, int]
    other: dict[str, int]
    fees_paid: dict[str, int]
    feeds: dict[str, FeedState]
    peak: int
    day: int
    day_start: int
    state: TradingState
    state_reason: str
    control_version: int
    reconciled_at: list[str]
    runs: list[Run]
    stopped_runs: list[str]
    limits: dict[str, Any] | None
    limits_version: int
    limits_digest: str
    markouts: dict[str, Looks]


LINKED: Final = frozenset(
    {"lines", "line_by_base", "orders", "conditionals", "parents", "working", "trades", "reconciled_at", "runs"}
    | {"stopped_runs", "markouts"}
)
"""Fields of the books that are stored otherwise than they are held."""
PLAIN: Final = tuple(name for name in Books.__slots__ if name not in LINKED)


def state_of(books: Books) -> BooksState:
    """What there is to know of ``books``; shares their records, so encode it before they change."""
    keys = {line.symbol: base for base, line in books.line_by_base.items()}
    trades: dict[str, list[int]] = {}
    for symbol, number in sorted(books.trades):
        trades.setdefault(symbol, []).append(number)
    return BooksState(
        lines=[_line_state(line, keys[line.symbol]) for line in books.lines.values()],
        bases=list(books.line_by_base),
        orders=list(books.orders.values()),
        conditionals=books.conditionals.state(),
        parents=list(books.parents.values()),
        working=list(books.working),
        trades=trades,
        reconciled_at=sorted(books.reconciled_at),
        runs=list(books.runs.values()),
        stopped_runs=sorted(books.stopped_runs),
        markouts=books.markouts.waiting,
        **{name: getattr(books, name) for name in PLAIN},
    )


def restore(books: Books, state: BooksState) -> None:
    """Make empty ``books`` what ``state`` says; takes its records over."""
    for name in PLAIN:
        setattr(books, name, getattr(state, name))
    books.orders = {order.client_id: order for order in state.orders}
    books.parents = {parent.parent_id: parent for parent in state.parents}
    books.working = {parent_id: books.parents[parent_id] for parent_id in state.working}
    books.conditionals.restore(state.conditionals)
    books.trades = {(symbol, number) for symbol, numbers in state.trades.items() for number in numbers}
    books.reconciled_at = set(state.reconciled_at)
    books.runs = {run.run_id: run for run in state.runs}
    books.stopped_runs = set(state.stopped_runs)
    books.markouts.waiting = state.markouts
    books.lines = {one.instrument.symbol: _line(one, books.orders) for one in state.lines}
    by_base = {one.base: books.lines[one.instrument.symbol] for one in state.lines}
    books.line_by_base = {base: by_base[base] for base in state.bases}


def _line_state(line: Line, base: str) -> LineState:
    fields = {name: getattr(line, name) for name in LINE_FIELDS}
    return LineState(instrument=line.instrument, base=base, open=list(line.open), **fields)


def _line(state: LineState, orders: dict[str, Order]) -> Line:
    line = Line(state.instrument)
    for name in LINE_FIELDS:
        setattr(line, name, getattr(state, name))
    line.open = {client_id: orders[client_id] for client_id in state.open}
    return line
