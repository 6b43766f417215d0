"""The books: orders, fills, positions, cash, fees and profit, in integers.

``Books.apply`` is the only way they change. Applying a journal's events in order to empty books gives the same books,
which is how a restarted worker knows where it stands and how anybody can check a worker's word.

One account, one quote asset, at one venue or several. Cash is in money units, other balances in atoms. The identity
that always holds::

    cash + sum(cost of positions) == capital + realised - fees + funding

and with marks, ``equity == capital + realised + unrealised - fees + funding``. What lies at each venue is known apart:
``sum(cash_at.values()) == cash``, and a line is one instrument of one venue. Symbols and assets are keys as in
``instruments.at_venue``; what has no venue in its key is of the home venue, whatever ``Instrument.venue`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from workers.engine import events as e
from workers.engine.accounting import fills, parents
from workers.engine.accounting.funding import on_settled, settlement_key
from workers.engine.accounting.line import Line
from workers.engine.accounting.records import WHOLE, Anomaly, Cancels, Run, line_snapshot, order_of, report_of
from workers.engine.accounting.records import BooksError as BooksError  # noqa: PLC0414  raised here, and by the handlers
from workers.engine.config import DAY_NS
from workers.engine.execution import conditional_book
from workers.engine.execution.markouts import Markouts
from workers.engine.execution.orders import ENDED, Order, Report, next_status
from workers.engine.execution.parent import Parent
from workers.engine.instruments import MONEY_PER_ATOM, Instrument, at_venue, split_key
from workers.engine.vocabulary import FeedState, OrderStatus, TradingState

Touched = tuple[Line, ...]
"""Lines that an event changed, so that their valuation is due."""


class Books:
    """State of one worker's account; see the module for the identity. Read freely, change through ``apply`` only."""

    __slots__ = (
        "anomalies",
        "cancels",
        "capital",
        "cash",
        "cash_at",
        "conditionals",
        "control_version",
        "cost",
        "day",
        "day_start",
        "decisions",
        "denied",
        "epoch",
        "feeds",
        "fees",
        "fees_paid",
        "fills",
        "funding",
        "limits",
        "limits_digest",
        "limits_version",
        "line_by_base",
        "lines",
        "markouts",
        "open_count",
        "orders",
        "other",
        "parents",
        "peak",
        "quote",
        "realised",
        "reconciled_at",
        "reserved",
        "reserved_at",
        "runs",
        "state",
        "state_reason",
        "stopped_runs",
        "trades",
        "venue",
        "venues",
        "working",
    )

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self.line_by_base: dict[str, Line] = {}
        """Lines by the key of their base asset."""
        self.orders: dict[str, Order] = {}
        self.conditionals = conditional_book.ConditionalBook()
        self.parents: dict[str, Parent] = {}
        self.working: dict[str, Parent] = {}
        """Parents that are not over, oldest first."""
        self.markouts = Markouts()
        """Fills of parents that the market is still to be looked at after."""
        self.trades: set[tuple[str, int]] = set()
        self.anomalies: list[Anomaly] = []
        self.cancels = Cancels()
        self.quote = ""
        self.venue = ""
        """The home venue."""
        self.venues: tuple[str, ...] = ("",)
        """Venues of the newest session, home first."""
        self.epoch = 0
        self.cash = 0
        self.cash_at: dict[str, int] = {"": 0}
        """What of ``cash`` lies at each venue that any session knew."""
        self.capital = self.cost = self.realised = self.fees = self.funding = 0
        self.reserved = 0
        self.reserved_at: dict[str, int] = {"": 0}
        """What of ``reserved`` is held against the cash of each venue."""
        self.open_count = self.fills = self.decisions = 0
        self.denied: dict[str, int] = {}
        self.other: dict[str, int] = {}
        self.fees_paid: dict[str, int] = {}
        self.feeds: dict[str, FeedState] = {}
        self.peak = self.day = self.day_start = 0
        self.state = TradingState.HALTED
        self.state_reason = "not yet released by the control plane"
        self.control_version = 0
        self.reconciled_at: set[str] = set()
        """Venues whose orders and balances agreed with ours when last compared in this session."""
        self.runs: dict[str, Run] = {}
        """Runs that are on, oldest first; each trades instruments of its own."""
        self.stopped_runs: set[str] = set()
        """Runs that are over: none of them starts again."""
        self.limits: dict[str, Any] | None = None
        self.limits_version = 0
        self.limits_digest = ""

    # -- reading

    @property
    def reconciled(self) -> bool:
        """True when the books agreed with every venue of the session."""
        return self.reconciled_at.issuperset(self.venues)

    def venue_of(self, key: str) -> str:
        """Venue of a symbol's or asset's key: the part behind the ``@``, or the home venue."""
        return split_key(key)[1] or self.venue

    def line_of_base(self, asset: str) -> Line | None:
        """Line whose base asset is ``asset``, a key such as ``BTC`` or ``BTC@beta``."""
        return self.line_by_base.get(asset)

    def balance(self, asset: str) -> int:
        """Balance in atoms of an asset by its key, the quote asset's rounded down to whole atoms."""
        name, venue = split_key(asset)
        if name == self.quote:
            return self.cash_at.get(venue or self.venue, 0) // MONEY_PER_ATOM
        line = self.line_of_base(asset)
        return line.position if line else self.other.get(asset, 0)

    def balances(self, venue: str | None = None) -> dict[str, int]:
        """All balances in atoms by the asset's key, or those of one venue (``""`` is home), as it would list them."""
        if not self.quote:
            return dict(self.other)
        held = {**self.other, **{base: line.position for base, line in self.line_by_base.items()}}
        for where, cash in self.cash_at.items():
            held[at_venue(self.quote, where, self.venue)] = cash // MONEY_PER_ATOM
        if venue is None:
            return held
        return {asset: count for asset, count in held.items() if self.venue_of(asset) == (venue or self.venue)}

    def run_of(self, symbol: str) -> Run | None:
        """The run that trades ``symbol``."""
        return next((run for run in self.runs.values() if symbol in run.instruments), None)

    def open_orders(self) -> list[Order]:
        """Orders that may still fill, instrument by instrument, oldest first."""
        return [order for line in self.lines.values() for order in line.open.values()]

    def is_news(self, event: e.JournalEvent) -> bool:
        """False for a report that the books already hold: the same fill, acknowledgement or ending again."""
        if type(event) is e.OrderFilled:
            return (event.symbol, event.trade_id) not in self.trades
        if type(event) is e.FundingSettled:
            return settlement_key(event) not in self.trades
        if type(event) not in (e.OrderSent, e.OrderAccepted, e.OrderRejected, e.OrderEnded, e.OrderUnknown):
            return True
        order = self.orders.get(event.client_id)  # type: ignore[attr-defined]  # all five carry it
        if order is None:
            return True
        if type(event) is e.OrderAccepted and order.venue_order_id != event.venue_order_id:
            return True
        return next_status(order.status, report_of(event)) is not order.status

    def snapshot(self) -> dict[str, Any]:
        """Everything that the journal determines, in plain types and a fixed order: equal for equal books."""
        skip = {
            "lines",
            "orders",
            "conditionals",
            "parents",
            "working",
            "trades",
            "anomalies",
            "runs",
            "stopped_runs",
            "markouts",
        }
        skip |= {"line_by_base", "reconciled_at"}
        plain = {name: msgspec.to_builtins(getattr(self, name)) for name in self.__slots__ if name not in skip}
        return {
            **plain,
            "runs": msgspec.to_builtins(self.runs),
            "stopped_runs": sorted(self.stopped_runs),
            "reconciled": self.reconciled,
            "reconciled_at": sorted(self.reconciled_at),
            "anomalies": msgspec.to_builtins(self.anomalies),
            "trades": sorted(self.trades),
            "orders": {key: msgspec.to_builtins(order) for key, order in sorted(self.orders.items())},
            "conditionals": self.conditionals.snapshot(),
            "parents": {key: msgspec.to_builtins(parent) for key, parent in sorted(self.parents.items())},
            "working": list(self.working),
            "markouts": self.markouts.snapshot(),
            "lines": {symbol: line_snapshot(line) for symbol, line in sorted(self.lines.items())},
        }

    # -- changing

    def apply(self, event: e.JournalEvent) -> Touched:
        """Take one journalled event; return the lines that it touched. BooksError when it cannot belong here."""
        return self._handlers[type(event)](self, event)

    def _session(self, event: e.SessionOpened) -> Touched:
        instruments = [msgspec.convert(described, Instrument, strict=False) for described in event.instruments]
        self._check_session(event.venue, instruments)
        # The epoch that is on: a venue that answered later joins, and what holds of the others goes on.
        known = self.venues if event.epoch == self.epoch else ()
        self.epoch = event.epoch
        self._move_home(event.venue)
        if not known:
            self.reconciled_at.clear()
        for instrument in instruments:
            self._register(instrument)
        places = (self.venue_of(item.symbol) for item in instruments)
        self.venues = tuple(dict.fromkeys((self.venue, *known, *places)))
        for venue in self.venues:
            self.cash_at.setdefault(venue, 0)
            self.reserved_at.setdefault(venue, 0)
        self.markouts.on_session(event.ts)
        return tuple(self.lines.values())

    def _check_session(self, home: str, instruments: Sequence[Instrument]) -> None:
        """BooksError for a session that these books cannot take; nothing has changed then."""
        if home != self.venue and home in self.cash_at:
            raise BooksError(
                f"expected home venue {self.venue}, was {home}, which this journal knows as another venue; "
                f"keep {self.venue} as the home venue or begin a new journal"
            )
        quote, symbols = self.quote, {base: line.symbol for base, line in self.line_by_base.items()}
        for item in instruments:
            quote = quote or item.quote
            if item.quote != quote:
                raise BooksError(
                    f"expected quotes in {quote}, was {item.quote} ({item.symbol}); "
                    f"leave it out, or trade it in an account of its own"
                )
            at = split_key(item.symbol)[1]
            if at and (at != item.venue or at == home):
                wanted = at_venue(item.native, item.venue, home)
                raise BooksError(f"expected symbol {wanted} of venue {item.venue}, was {item.symbol}; name it so")
            twin = symbols.setdefault(item.base_key, item.symbol)
            if twin != item.symbol:
                raise BooksError(
                    f"expected one instrument per venue and base asset, {item.symbol} and {twin} share one; "
                    f"leave one out"
                )

    def _move_home(self, home: str) -> None:
        """The home venue goes by another name from now on."""
        if home != self.venue:
            self.cash_at = {home: self.cash_at.pop(self.venue), **self.cash_at}
            self.reserved_at = {home: self.reserved_at.pop(self.venue), **self.reserved_at}
            for line in self.lines.values():
                if line.venue == self.venue:
                    line.venue = home
            self.venue = home

    def _register(self, instrument: Instrument) -> None:
        self.quote = instrument.quote
        line = self.lines.get(instrument.symbol)
        if line is not None:
            if line.instrument.base_key != instrument.base_key:
                del self.line_by_base[line.instrument.base_key]
                self.line_by_base[instrument.base_key] = line
            line.describe(instrument)
            return
        self.lines[instrument.symbol] = self.line_by_base[instrument.base_key] = line = Line(instrument)
        line.venue = self.venue_of(instrument.symbol)
        # Atoms of this asset that were held before it became tradable here have no cost yet.
        line.position = line.unpriced = self.other.pop(instrument.base_key, 0)

    def pay(self, venue: str, amount: int) -> None:
        """Move ``amount`` money units into the cash at ``venue``, or out of it; for the handlers of events alone."""
        self.cash += amount
        self.cash_at[venue] = self.cash_at.get(venue, 0) + amount

    def _run_started(self, event: e.RunStarted) -> Touched:
        self.runs[event.run_id] = Run(
            event.run_id,
            event.release,
            event.strategy,
            event.params,
            event.model_digest,
            event.limits_version,
            event.instruments,
            event.interval_ns,
            event.capital_share or WHOLE,
        )
        return ()

    def _run_stopped(self, event: e.RunStopped) -> Touched:
        self.stopped_runs.add(event.run_id)
        self.runs.pop(event.run_id, None)
        return ()

    def _state(self, event: e.TradingStateChanged) -> Touched:
        self.state = event.state
        self.state_reason = event.reason
        self.control_version = max(self.control_version, event.control_version)
        return ()

    def _limits(self, event: e.LimitsActivated) -> Touched:
        self.limits = event.limits
        self.limits_version = event.version
        self.limits_digest = event.digest
        return ()

    def _denied(self, event: e.OrderDenied) -> Touched:
        self.decisions += 1
        for reason in event.reasons:
            self.denied[reason.value] = self.denied.get(reason.value, 0) + 1
        if event.parent_id and event.parent_id in self.parents:
            parents.denied(self.parents[event.parent_id], event)
        self.conditionals.denied(event)
        return ()

    def _intended(self, event: e.OrderIntended) -> Touched:
        self.decisions += 1
        order = order_of(event)
        if event.replaces in self.orders:
            self.orders[event.replaces].replaced_by = event.client_id
        self.orders[event.client_id] = order
        if event.parent_id and event.parent_id in self.parents:
            parents.intended(self.parents[event.parent_id], order)
        self.conditionals.intended(event)
        line = self.lines[event.symbol]
        line.last_intent = event.ts
        self._count(line, order)
        return (line,)

    def _sent(self, event: e.OrderSent) -> Touched:
        return self._report(event.client_id, Report.SENT, event.ts)

    def _accepted(self, event: e.OrderAccepted) -> Touched:
        order = self.orders.get(event.client_id)
        if order is not None:
            order.venue_order_id = event.venue_order_id
            if order.never_sent and not order.open:
                # It was taken for unsent, and the venue works it after all: its risk counts again.
                order.never_sent = False
                order.status = OrderStatus.UNKNOWN
                self.lines[order.symbol].unknown += 1
                fills.note(self, event.ts, "accepted_after_not_sent", event.client_id, event.venue_order_id)
        return self._report(event.client_id, Report.ACCEPTED, event.ts)

    def _rejected(self, event: e.OrderRejected) -> Touched:
        return self._report(event.client_id, Report.REJECTED, event.ts, f"{event.code} {event.message}".strip())

    def _unknown(self, event: e.OrderUnknown) -> Touched:
        return self._report(event.client_id, Report.UNKNOWN, event.ts, event.detail)

    def _not_sent(self, event: e.OrderNotSent) -> Touched:
        order = self.orders.get(event.client_id)
        if order is not None and order.open and order.filled == 0:
            order.never_sent = True
        return self._report(event.client_id, Report.NOT_SENT, event.ts, event.detail)

    def _cancels_taken(self, event: e.CancelsTaken) -> Touched:
        self.cancels.take(event)
        return ()

    def _cancel_requested(self, event: e.CancelRequested) -> Touched:
        order = self.orders.get(event.client_id)
        if order is not None:
            order.cancel_requested = True
        return ()

    def _ended(self, event: e.OrderEnded) -> Touched:
        return self._report(event.client_id, ENDED[event.status], event.ts, event.detail)

    def _report(self, client_id: str, report: Report, ts: int, detail: str = "") -> Touched:
        order = self.orders.get(client_id)
        if order is None:
            fills.note(self, ts, "report_for_unknown_order", client_id, f"{report.value} {detail}".strip())
            return ()
        line = self.lines[order.symbol]
        status = next_status(order.status, report)
        if status is order.status:
            return (line,)
        order.updated = ts
        if detail:
            order.detail = detail
        self._move(line, order, status)
        return (line,)

    def report(self, line: Line, order: Order, report: Report) -> None:
        """Move ``order`` by what was reported of it; for the handlers of events alone."""
        self._move(line, order, next_status(order.status, report))

    def _move(self, line: Line, order: Order, status: OrderStatus) -> None:
        line.unknown += (status is OrderStatus.UNKNOWN) - (order.status is OrderStatus.UNKNOWN)
        order.status = status
        order.open = status.is_open
        if not order.open or order.counted != order.remaining:
            self._count(line, order)
        if order.parent_id and order.parent_id in self.parents:
            parents.counted(self.parents[order.parent_id], order)

    def _count(self, line: Line, order: Order) -> None:
        opened, held = line.count(order)
        self.open_count += opened
        self.reserved += held
        self.reserved_at[line.venue] += held

    def _marked(self, event: e.Marked) -> Touched:
        marked = []
        for symbol, ticks in event.marks.items():
            line = self.lines.get(symbol)
            if line is not None:
                marked.append(line)
                line.mark = ticks
                if line.unpriced and ticks:
                    fills.bring_in(self, line, ticks)
        pnl = event.realised + event.unrealised - event.fees + event.funding
        self.peak = max(self.peak, pnl + event.drawdown)
        day = event.ts // DAY_NS
        if day != self.day:
            self.day = day
            self.day_start = pnl
        return tuple(marked)

    def _reconciled(self, event: e.ReconciliationDone) -> Touched:
        (self.reconciled_at.add if event.ok else self.reconciled_at.discard)(event.venue or self.venue)
        return ()

    def _feed_changed(self, event: e.FeedChanged) -> Touched:
        self.feeds[event.symbol] = event.state
        return ()

    def _of_the_gate(self, event: e.JournalEvent) -> Touched:  # noqa: ARG002 - the risk ledger takes these
        return ()

    _handlers: ClassVar[dict[type, Callable[[Books, Any], Touched]]] = {
        e.SessionOpened: _session,
        e.RunStarted: _run_started,
        e.RunStopped: _run_stopped,
        e.TradingStateChanged: _state,
        e.LimitsActivated: _limits,
        e.BalanceAdopted: fills.on_adopted,
        e.OrderDenied: _denied,
        e.OrderIntended: _intended,
        e.OrderSent: _sent,
        e.OrderAccepted: _accepted,
        e.OrderRejected: _rejected,
        e.OrderUnknown: _unknown,
        e.OrderNotSent: _not_sent,
        e.OrderFilled: fills.on_filled,
        e.CancelsTaken: _cancels_taken,
        e.CancelRequested: _cancel_requested,
        e.OrderEnded: _ended,
        e.ParentStarted: parents.on_started,
        e.RouteDecided: parents.on_routed,
        e.ParentCancelRequested: parents.on_cancel_requested,
        e.ParentEnded: parents.on_ended,
        e.FillsMarked: parents.on_marked,
        e.ParentMeasured: parents.on_measured,
        **dict.fromkeys(conditional_book.EVENTS, conditional_book.on_event),
        e.FundingSettled: on_settled,
        e.Marked: _marked,
        e.FeedChanged: _feed_changed,
        e.ScopeStateChanged: _of_the_gate,
        e.ScopesMarked: _of_the_gate,
        e.OverridesActivated: _of_the_gate,
        e.ReconciliationDone: _reconciled,
    }


def replay(journal: Sequence[e.JournalEvent]) -> Books:
    """Books after these events, oldest first."""
    books = Books()
    for event in journal:
        books.apply(event)
    return books
