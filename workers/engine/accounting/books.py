"""The books: orders, fills, positions, cash, fees and profit, in integers.

``Books.apply`` is the only way they change. Applying a journal's events in order to empty books gives the same books,
which is how a restarted worker knows where it stands and how anybody can check a worker's word.

One account, one quote asset. Cash is in money units, other balances in atoms. The identity that always holds::

    cash + sum(cost of positions) == capital + realised - fees + funding

and with marks, ``equity == capital + realised + unrealised - fees + funding``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from workers.engine import events as e
from workers.engine.accounting import parents
from workers.engine.accounting.funding import on_settled, settlement_key
from workers.engine.accounting.line import Line
from workers.engine.accounting.records import Anomaly, Cancels, Run, line_snapshot, order_of, report_of
from workers.engine.config import DAY_NS
from workers.engine.execution import conditional_book
from workers.engine.execution.orders import ENDED, Order, Report, next_status
from workers.engine.execution.parent import Parent
from workers.engine.instruments import MONEY_PER_ATOM, Instrument
from workers.engine.vocabulary import FeedState, OrderStatus, Side, TradingState

Touched = tuple[Line, ...]
"""Lines that an event changed, so that their valuation is due."""


class BooksError(ValueError):
    """An event that cannot belong to these books, such as an instrument in a second quote asset."""


class Books:
    """State of one worker's account; see the module for the identity. Read freely, change through ``apply`` only."""

    __slots__ = (
        "anomalies",
        "cancels",
        "capital",
        "cash",
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
        "lines",
        "open_count",
        "orders",
        "other",
        "parents",
        "peak",
        "quote",
        "realised",
        "reconciled",
        "reserved",
        "run",
        "state",
        "state_reason",
        "stopped_runs",
        "trades",
        "venue",
        "working",
    )

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self.orders: dict[str, Order] = {}
        self.conditionals = conditional_book.ConditionalBook()
        self.parents: dict[str, Parent] = {}
        self.working: dict[str, Parent] = {}
        """Parents that are not over, oldest first."""
        self.trades: set[tuple[str, int]] = set()
        self.anomalies: list[Anomaly] = []
        self.cancels = Cancels()
        self.quote = ""
        self.venue = ""
        self.epoch = 0
        self.cash = 0
        self.capital = 0
        self.cost = 0
        self.realised = 0
        self.fees = 0
        self.funding = 0
        self.reserved = 0
        self.open_count = 0
        self.fills = 0
        self.decisions = 0
        self.denied: dict[str, int] = {}
        self.other: dict[str, int] = {}
        self.fees_paid: dict[str, int] = {}
        self.feeds: dict[str, FeedState] = {}
        self.peak = 0
        self.day = 0
        self.day_start = 0
        self.state = TradingState.HALTED
        self.state_reason = "not yet released by the control plane"
        self.control_version = 0
        self.reconciled = False
        self.run: Run | None = None
        self.stopped_runs: set[str] = set()
        """Runs that are over: none of them starts again."""
        self.limits: dict[str, Any] | None = None
        self.limits_version = 0
        self.limits_digest = ""

    # -- reading

    def line_of_base(self, asset: str) -> Line | None:
        """Line whose base asset is ``asset``."""
        return next((line for line in self.lines.values() if line.instrument.base == asset), None)

    def balance(self, asset: str) -> int:
        """Balance in atoms, the quote asset's rounded down to whole atoms."""
        if asset == self.quote:
            return self.cash // MONEY_PER_ATOM
        line = self.line_of_base(asset)
        return line.position if line else self.other.get(asset, 0)

    def balances(self) -> dict[str, int]:
        """All balances in atoms by asset, as the venue would list them."""
        held = {line.instrument.base: line.position for line in self.lines.values()}
        return {**self.other, **held, self.quote: self.cash // MONEY_PER_ATOM} if self.quote else dict(self.other)

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
        skip = {"lines", "orders", "conditionals", "parents", "working", "trades", "anomalies", "run", "stopped_runs"}
        plain = {name: msgspec.to_builtins(getattr(self, name)) for name in self.__slots__ if name not in skip}
        return {
            **plain,
            "run": msgspec.to_builtins(self.run),
            "stopped_runs": sorted(self.stopped_runs),
            "anomalies": msgspec.to_builtins(self.anomalies),
            "trades": sorted(self.trades),
            "orders": {key: msgspec.to_builtins(order) for key, order in sorted(self.orders.items())},
            "conditionals": self.conditionals.snapshot(),
            "parents": {key: msgspec.to_builtins(parent) for key, parent in sorted(self.parents.items())},
            "working": list(self.working),
            "lines": {symbol: line_snapshot(line) for symbol, line in sorted(self.lines.items())},
        }

    # -- changing

    def apply(self, event: e.JournalEvent) -> Touched:
        """Take one journalled event; return the lines that it touched. BooksError when it cannot belong here."""
        return self._handlers[type(event)](self, event)

    def _session(self, event: e.SessionOpened) -> Touched:
        self.epoch = event.epoch
        self.venue = event.venue
        self.reconciled = False
        for described in event.instruments:
            self._register(msgspec.convert(described, Instrument, strict=False))
        return tuple(self.lines.values())

    def _register(self, instrument: Instrument) -> None:
        if self.quote and instrument.quote != self.quote:
            raise BooksError(f"expected quotes in {self.quote}, was {instrument.quote} ({instrument.symbol})")
        self.quote = instrument.quote
        line = self.lines.get(instrument.symbol)
        if line is not None:
            line.describe(instrument)
            return
        twin = self.line_of_base(instrument.base)
        if twin is not None:
            raise BooksError(f"expected one instrument per base asset, {instrument.symbol} and {twin.symbol} share one")
        self.lines[instrument.symbol] = line = Line(instrument)
        # Atoms of this asset that were held before it became tradable here have no cost yet.
        line.position = line.unpriced = self.other.pop(instrument.base, 0)

    def _run_started(self, event: e.RunStarted) -> Touched:
        self.run = Run(
            event.run_id,
            event.release,
            event.strategy,
            event.params,
            event.model_digest,
            event.limits_version,
            event.instruments,
            event.interval_ns,
        )
        return ()

    def _run_stopped(self, event: e.RunStopped) -> Touched:
        self.stopped_runs.add(event.run_id)
        if self.run is not None and self.run.run_id == event.run_id:
            self.run = None
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

    def _adopted(self, event: e.BalanceAdopted) -> Touched:
        if event.asset == self.quote:
            total = event.total * MONEY_PER_ATOM
            self.capital += total - self.cash
            self.cash = total
            return ()
        line = self.line_of_base(event.asset)
        if line is None:
            self.other[event.asset] = event.total
            return ()
        change = event.total - line.position
        if change >= 0:
            line.position += change
            line.unpriced += change
        else:
            removed = line.take_out(-change)
            self.cost -= removed
            self.capital -= removed
        return (line,)

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
                self._note(event.ts, "accepted_after_not_sent", event.client_id, event.venue_order_id)
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
            self._note(ts, "report_for_unknown_order", client_id, f"{report.value} {detail}".strip())
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

    def _filled(self, event: e.OrderFilled) -> Touched:
        trade = (event.symbol, event.trade_id)
        if trade in self.trades:
            return ()
        line = self.lines.get(event.symbol)
        if line is None:
            self._note(event.ts, "fill_in_unknown_instrument", event.client_id, f"{event.symbol} {event.trade_id}")
            return ()
        self.trades.add(trade)
        self.fills += 1
        notional = event.price * event.lots * line.lot_value
        touched = self._book(line, event, notional)
        order = self.orders.get(event.client_id)
        if order is None:
            self._note(event.ts, "fill_for_unknown_order", event.client_id, f"{event.symbol} {event.trade_id}")
        elif order.symbol != event.symbol or order.side is not event.side:
            detail = f"{event.side.name} {event.symbol} {event.trade_id}"
            self._note(event.ts, "fill_contradicts_order", event.client_id, detail)
        else:
            self._fill_order(line, order, event, notional)
        return touched

    def _book(self, line: Line, event: e.OrderFilled, notional: int) -> Touched:
        """Move position and cash, then the fee in whichever asset it was taken."""
        if line.unpriced:
            self._bring_in(line, event.price)
        before, atoms = line.cost, event.lots * line.lot_atoms
        if event.side is Side.BUY:
            self.cash -= notional
            self.realised += line.trade(atoms, notional)
        else:
            self.cash += notional
            self.realised += line.trade(-atoms, notional)
        payer = self._pay_fee(line, event) if event.fee else None
        self.cost += line.cost - before
        return (line,) if payer is None else (line, payer)

    def _pay_fee(self, line: Line, event: e.OrderFilled) -> Line | None:
        """Take the fee; return the line that it was taken from when that is not the fill's own."""
        asset, fee = event.fee_asset, event.fee
        self.fees_paid[asset] = self.fees_paid.get(asset, 0) + fee
        if asset == self.quote:
            paid = fee * MONEY_PER_ATOM
            self.cash -= paid
        elif asset == line.instrument.base:
            # Handing over base is selling it at the fill's price and paying the proceeds as the fee.
            paid = fee * event.price * line.value_factor
            self.realised += line.trade(-fee, paid)
        elif (other := self.line_of_base(asset)) is not None:
            paid = other.take_out(fee)
            self.cost -= paid
            other.fees += paid
            self.fees += paid
            return other
        else:
            self.other[asset] = self.other.get(asset, 0) - fee
            return None
        line.fees += paid
        self.fees += paid
        return None

    def _fill_order(self, line: Line, order: Order, event: e.OrderFilled, notional: int) -> None:
        if not order.open:
            self._note(event.ts, "fill_after_end", order.client_id, f"{order.status.value} {event.trade_id}")
        order.filled += event.lots
        order.notional += notional
        order.updated = event.ts
        if order.filled > order.lots:
            self._note(event.ts, "overfill", order.client_id, f"{order.filled} of {order.lots} lots")
        parent = self.parents.get(order.parent_id) if order.parent_id else None
        if parent is not None and not parents.filled(parent, line, event, notional):
            self._note(event.ts, "parent_overfill", parent.parent_id, f"{parent.filled} of {parent.lots} lots")
        report = Report.ALL_FILLED if order.filled >= order.lots else Report.PART_FILLED
        self._move(line, order, next_status(order.status, report))

    def _bring_in(self, line: Line, ticks: int) -> None:
        value = line.price_adopted(ticks)
        self.capital += value
        self.cost += value

    def _marked(self, event: e.Marked) -> Touched:
        marked = []
        for symbol, ticks in event.marks.items():
            line = self.lines.get(symbol)
            if line is not None:
                marked.append(line)
                line.mark = ticks
                if line.unpriced and ticks:
                    self._bring_in(line, ticks)
        pnl = event.realised + event.unrealised - event.fees + event.funding
        self.peak = max(self.peak, pnl + event.drawdown)
        day = event.ts // DAY_NS
        if day != self.day:
            self.day = day
            self.day_start = pnl
        return tuple(marked)

    def _reconciled(self, event: e.ReconciliationDone) -> Touched:
        self.reconciled = event.ok
        return ()

    def _feed_changed(self, event: e.FeedChanged) -> Touched:
        self.feeds[event.symbol] = event.state
        return ()

    def _of_the_gate(self, event: e.JournalEvent) -> Touched:  # noqa: ARG002 - the risk ledger takes these
        return ()

    def _note(self, ts: int, kind: str, client_id: str, detail: str) -> None:
        self.anomalies.append(Anomaly(ts, kind, client_id, detail))

    _handlers: ClassVar[dict[type, Callable[[Books, Any], Touched]]] = {
        e.SessionOpened: _session,
        e.RunStarted: _run_started,
        e.RunStopped: _run_stopped,
        e.TradingStateChanged: _state,
        e.LimitsActivated: _limits,
        e.BalanceAdopted: _adopted,
        e.OrderDenied: _denied,
        e.OrderIntended: _intended,
        e.OrderSent: _sent,
        e.OrderAccepted: _accepted,
        e.OrderRejected: _rejected,
        e.OrderUnknown: _unknown,
        e.OrderNotSent: _not_sent,
        e.OrderFilled: _filled,
        e.CancelsTaken: _cancels_taken,
        e.CancelRequested: _cancel_requested,
        e.OrderEnded: _ended,
        e.ParentStarted: parents.on_started,
        e.ParentCancelRequested: parents.on_cancel_requested,
        e.ParentEnded: parents.on_ended,
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
