"""From journal events to rows: a pure fold, so that any split of a journal into batches makes the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from apps.trading.domain import conditionals, parents, signals
from apps.trading.domain.routes import RouteState
from apps.trading.domain.states import ZERO, EquityState, FillState, OrderState, PositionState, Signal, at, short
from workers.engine import events as ev
from workers.engine.accounting.funding import settlement_key
from workers.engine.accounting.line import Line
from workers.engine.execution.orders import ENDED, Report
from workers.engine.instruments import MONEY_PER_ATOM, Instrument, atoms, from_atoms, from_money, split_key
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce, TradingState


class ProjectionError(ValueError):
    """The journal says something that cannot follow from what it said before; the message names the record."""


@dataclass(slots=True)
class RunState:
    """One observed run."""

    run_id: str
    release: str
    strategy: str
    model_digest: str
    limits_version: int
    started_at: datetime
    stopped_at: datetime | None = None
    stop_reason: str = ""


@dataclass(slots=True)
class StateChange:
    """The loop reported a trading state."""

    seq: int
    ts: int
    state: TradingState
    reason: str
    by: str
    control_version: int


@dataclass(slots=True)
class Books:
    """Everything a batch may read, loaded by the caller, and everything that it changed.

    Fill in ``instruments``, and of ``orders``, ``positions``, ``balances`` and ``runs`` whatever exists and may be
    named by the batch; ``known_trades`` are (symbol, trade id) pairs of the batch that are already rows.
    """

    venue: str
    seq: int = 0
    """Number of the record that is being folded in."""
    instruments: dict[str, Instrument] = field(default_factory=dict)
    orders: dict[str, OrderState] = field(default_factory=dict)
    positions: dict[str, PositionState] = field(default_factory=dict)
    balances: dict[str, tuple[Decimal, datetime]] = field(default_factory=dict)
    runs: dict[str, RunState] = field(default_factory=dict)
    parents: dict[str, parents.ParentState] = field(default_factory=dict)
    routes: list[RouteState] = field(default_factory=list)
    known_trades: set[tuple[str, int]] = field(default_factory=set)
    fills: list[FillState] = field(default_factory=list)
    equity: list[EquityState] = field(default_factory=list)
    feeds: dict[str, tuple[str, str, datetime]] = field(default_factory=dict)
    reconciliations: list[tuple[int, ev.ReconciliationDone]] = field(default_factory=list)
    adopted: list[tuple[str, datetime]] = field(default_factory=list)
    """Decisions to adopt a balance that were carried out, and when."""
    states: list[StateChange] = field(default_factory=list)
    scopes: list[tuple[int, ev.ScopeStateChanged]] = field(default_factory=list)
    """Halts by scope with the record's number."""
    limits: ev.LimitsActivated | None = None
    session: ev.SessionOpened | None = None
    changed_orders: dict[str, None] = field(default_factory=dict)
    changed_positions: dict[str, None] = field(default_factory=dict)
    changed_balances: dict[str, None] = field(default_factory=dict)
    changed_runs: dict[str, None] = field(default_factory=dict)
    changed_parents: dict[str, None] = field(default_factory=dict)
    signals: dict[str, Signal] = field(default_factory=dict)
    """Newest per fingerprint: a batch of a thousand denials is one message."""

    def instrument(self, symbol: str) -> Instrument:
        found = self.instruments.get(symbol)
        if found is None:
            raise ProjectionError(
                f"journal record {self.seq} names {symbol}, which no session on {self.venue} declared"
            )
        return found

    def order(self, client_id: str, what: str) -> OrderState | None:
        """The order, marked as changed; of one that was never intended, a signal and None.

        As in the engine's books: a report about a foreign order is noted, and must not stop everything behind it.
        """
        found = self.orders.get(client_id)
        if found is None:
            self.signal(signals.of_foreign_order(self.venue, client_id, what))
            return None
        self.changed_orders[client_id] = None
        return found

    def move(self, asset: str, amount: Decimal, ts: int) -> None:
        """Change the balance of ``asset`` by ``amount``."""
        total = self.balances[asset][0] if asset in self.balances else ZERO
        self.balances[asset] = (total + amount, at(ts))
        self.changed_balances[asset] = None

    def position_of_base(self, asset: str) -> PositionState | None:
        return next((held for held in self.positions.values() if held.line.instrument.base_key == asset), None)

    def signal(self, signal: Signal | None) -> None:
        if signal is not None:
            self.signals[signal.fingerprint] = signal


def apply(books: Books, record: ev.Record) -> None:
    """Fold one record into ``books``. Raises ProjectionError when it cannot follow."""
    handler = _HANDLERS.get(type(record.event))
    if handler is None:
        raise ProjectionError(f"journal record {record.seq} is a {type(record.event).__name__}, which is not known")
    books.seq = record.seq
    handler(books, record.event)


def needs(records: list[ev.Record]) -> tuple[set[str], set[str], set[tuple[str, int]]]:
    """What a batch may touch: client ids, run ids, and (symbol, trade id) pairs."""
    client_ids, run_ids, trades = set[str](), set[str](), set[tuple[str, int]]()
    for record in records:
        event = record.event
        if hasattr(event, "client_id"):
            client_ids.add(event.client_id)
        if isinstance(event, ev.RunStarted | ev.RunStopped):
            run_ids.add(event.run_id)
        if isinstance(event, ev.OrderFilled):
            trades.add((event.symbol, event.trade_id))
    return client_ids, run_ids, trades


def _session_opened(books: Books, event: ev.SessionOpened) -> None:
    books.session = event
    for item in event.instruments:
        instrument = msgspec.convert(item, Instrument, strict=False)
        books.instruments[instrument.symbol] = instrument
        held = books.positions.get(instrument.symbol)
        if held is None:
            held = PositionState(line=Line(instrument), updated_at=at(event.ts))
            held.line.position = held.line.unpriced = _held_atoms(books, instrument.base_key)
            books.positions[instrument.symbol] = held
        else:
            held.line.describe(instrument)
        held.touch(event.ts)
        books.changed_positions[instrument.symbol] = None


def _held_atoms(books: Books, asset: str) -> int:
    """What the account held of ``asset`` before it became tradable here; it has no cost yet."""
    total = books.balances[asset][0] if asset in books.balances else ZERO
    return atoms(total, asset)


def _run_started(books: Books, event: ev.RunStarted) -> None:
    books.runs[event.run_id] = RunState(
        run_id=event.run_id,
        release=event.release,
        strategy=event.strategy,
        model_digest=event.model_digest,
        limits_version=event.limits_version,
        started_at=at(event.ts),
    )
    books.changed_runs[event.run_id] = None


def _run_stopped(books: Books, event: ev.RunStopped) -> None:
    run = books.runs.get(event.run_id)
    if run is None:
        raise ProjectionError(f"journal record {books.seq} stops run {event.run_id}, which was never started")
    run.stopped_at, run.stop_reason = at(event.ts), short(event.reason)
    books.changed_runs[event.run_id] = None


def _state_changed(books: Books, event: ev.TradingStateChanged) -> None:
    books.states.append(StateChange(books.seq, event.ts, event.state, event.reason, event.by, event.control_version))
    books.signal(signals.of_state(books.venue, event))


def _scope_changed(books: Books, event: ev.ScopeStateChanged) -> None:
    books.scopes.append((books.seq, event))
    books.signal(signals.of_scope(books.venue, event))


def _of_the_loop(books: Books, event: ev.JournalEvent) -> None:
    """What only the loop itself needs after a restart; the journal keeps it, and no row."""


def _limits_activated(books: Books, event: ev.LimitsActivated) -> None:
    books.limits = event


def _balance_adopted(books: Books, event: ev.BalanceAdopted) -> None:
    books.balances[event.asset] = (from_atoms(event.total), at(event.ts))
    books.changed_balances[event.asset] = None
    if event.decision:
        books.adopted.append((event.decision, at(event.ts)))
    held = books.position_of_base(event.asset)
    if held is None:
        return
    change = event.total - held.line.position
    if change >= 0:
        held.line.position += change
        held.line.unpriced += change
    else:
        held.line.take_out(-change)
    held.touch(event.ts)
    books.changed_positions[held.line.symbol] = None


def _order_denied(books: Books, event: ev.OrderDenied) -> None:
    books.signal(signals.of_denial(books.venue, event))
    if event.client_id in books.orders:
        # The gate refused a second order under a client id that lives already: the first one is not touched.
        return
    instrument = books.instruments.get(event.symbol)
    order = OrderState(
        client_id=event.client_id,
        symbol=event.symbol,
        side=event.side.name,
        order_type=OrderType.LIMIT.value if event.price else OrderType.MARKET.value,
        status=OrderStatus.DENIED.value,
        quantity=instrument.quantity(event.lots) if instrument else from_atoms(0),
        price=instrument.price(event.price) if instrument and event.price else None,
        reference_price=_reference(instrument, event.inputs),
        run_id=event.run_id,
        reasons=[reason.value for reason in event.reasons],
        decision={**event.inputs, "route": event.route} if event.route else event.inputs,
        origin=event.conditional_id,
        parent_id=event.parent_id,
        created_at=at(event.ts),
        updated_at=at(event.ts),
        last_seq=books.seq,
    )
    order.note(books.seq, event.ts, detail=signals.in_words(event.reasons), what="denied")
    order.ended_at = order.created_at
    order.detail = short(signals.in_words(event.reasons))
    books.orders[event.client_id] = order
    books.changed_orders[event.client_id] = None


def _reference(instrument: Instrument | None, inputs: dict[str, Any]) -> Decimal | None:
    """The market price that the gate compared with; None when it had none."""
    ticks = inputs.get("reference")
    return instrument.price(ticks) if instrument is not None and isinstance(ticks, int) and ticks > 0 else None


def _order_intended(books: Books, event: ev.OrderIntended) -> None:
    instrument = books.instrument(event.symbol)
    order = OrderState(
        client_id=event.client_id,
        symbol=event.symbol,
        side=event.side.name,
        order_type=event.order_type.value,
        tif=TimeInForce.GTD.value if event.expires_at else event.tif.value,
        status=OrderStatus.INTENT.value,
        quantity=instrument.quantity(event.lots),
        price=instrument.price(event.price) if event.price else None,
        reference_price=instrument.price(event.reference) if event.reference else None,
        reduce_only=event.reduce_only,
        run_id=event.run_id,
        forecast_id=event.forecast_id,
        model_digest=event.model_digest,
        limits_version=event.limits_version,
        epoch=event.epoch,
        decision=event.decision,
        stages=dict(event.stages),
        trigger_price=instrument.price(event.trigger) if event.trigger else None,
        expires_at=at(event.expires_at) if event.expires_at else None,
        emulated=short(event.emulated),
        origin=event.conditional_id,
        replaces=event.replaces,
        parent_id=event.parent_id,
        created_at=at(event.ts),
        updated_at=at(event.ts),
        last_seq=books.seq,
    )
    order.note(books.seq, event.ts, what="intended")
    if event.parent_id:
        parents.on_child(books, event.parent_id, order, event.ts)
    books.orders[event.client_id] = order
    books.changed_orders[event.client_id] = None


def _order_sent(books: Books, event: ev.OrderSent) -> None:
    order = books.order(event.client_id, "sent")
    if order is not None:
        order.stages = {**order.stages, **event.stages}
        order.note(books.seq, event.ts, report=Report.SENT, what="sent")


def _order_accepted(books: Books, event: ev.OrderAccepted) -> None:
    order = books.order(event.client_id, "accepted")
    if order is None:
        return
    order.venue_order_id = event.venue_order_id
    if order.status == OrderStatus.CANCELED and order.never_sent:
        # It was taken for unsent, and the venue works it after all.
        order.status, order.ended_at, order.never_sent = OrderStatus.UNKNOWN.value, None, False
    order.note(books.seq, event.ts, report=Report.ACCEPTED, what="accepted")


def _order_rejected(books: Books, event: ev.OrderRejected) -> None:
    order = books.order(event.client_id, "rejected")
    if order is not None:
        order.reasons, order.detail = [event.code], short(event.message)
        order.note(books.seq, event.ts, report=Report.REJECTED, detail=event.message, what="rejected by the venue")


def _order_unknown(books: Books, event: ev.OrderUnknown) -> None:
    order = books.order(event.client_id, "unknown")
    if order is not None:
        order.note(books.seq, event.ts, report=Report.UNKNOWN, detail=event.detail, what="outcome unknown")


def _order_not_sent(books: Books, event: ev.OrderNotSent) -> None:
    order = books.order(event.client_id, "not sent")
    if order is None:
        return
    if OrderStatus(order.status).is_open and order.filled_quantity == 0:
        order.never_sent = True
    order.detail = short(event.detail)
    order.note(books.seq, event.ts, report=Report.NOT_SENT, detail=event.detail, what="never sent")


def _cancel_requested(books: Books, event: ev.CancelRequested) -> None:
    order = books.order(event.client_id, "cancel requested")
    if order is not None:
        order.note(books.seq, event.ts, detail=event.reason, what="cancel requested")


def _order_ended(books: Books, event: ev.OrderEnded) -> None:
    order = books.order(event.client_id, "ended")
    if order is not None:
        order.detail = short(event.detail) or order.detail
        order.note(books.seq, event.ts, report=ENDED[event.status], detail=event.detail, what="ended")


def _order_filled(books: Books, event: ev.OrderFilled) -> None:
    trade = (event.symbol, event.trade_id)
    if trade in books.known_trades:
        return
    books.known_trades.add(trade)
    instrument = books.instrument(event.symbol)
    fill = FillState(
        symbol=event.symbol,
        trade_id=event.trade_id,
        client_id=event.client_id,
        run_id="",
        side=event.side.name,
        quantity=instrument.quantity(event.lots),
        price=instrument.price(event.price),
        notional=from_money(event.price * event.lots * instrument.lot_value),
        fee=from_atoms(event.fee),
        fee_asset=event.fee_asset,
        maker=event.maker,
        executed_at=at(event.ts_event),
        recorded_at=at(event.ts),
        seq=books.seq,
    )
    books.fills.append(fill)
    order = books.order(event.client_id, "filled")
    if order is not None:
        fill.run_id = order.run_id
        order.filled_quantity += fill.quantity
        order.filled_notional += fill.notional
        parents.on_fill(books, order, fill, event.ts)
        full = order.filled_quantity >= order.quantity
        words = f"{fill.quantity.normalize():f} at {fill.price.normalize():f}"
        order.note(
            books.seq, event.ts, report=Report.ALL_FILLED if full else Report.PART_FILLED, detail=words, what="filled"
        )
    _book_fill(books, instrument, fill, event)


def _book_fill(books: Books, instrument: Instrument, fill: FillState, event: ev.OrderFilled) -> None:
    """Move balances and the position as the engine's books do."""
    sign = 1 if event.side is Side.BUY else -1
    books.move(instrument.base_key, sign * fill.quantity, event.ts)
    books.move(instrument.quote_key, -sign * fill.notional, event.ts)
    held = books.positions[event.symbol]
    line = held.line
    if line.unpriced:
        line.price_adopted(event.price)
    line.trade(sign * event.lots * line.lot_atoms, event.price * event.lots * line.lot_value)
    if event.fee:
        books.move(event.fee_asset, -fill.fee, event.ts)
        _pay_fee(books, line, event)
    held.touch(event.ts)
    books.changed_positions[event.symbol] = None


def _pay_fee(books: Books, line: Line, event: ev.OrderFilled) -> None:
    """Charge the commission to the position whose asset it took; a foreign asset only leaves the balance."""
    if split_key(event.fee_asset)[0] == line.instrument.quote:
        line.fees += event.fee * MONEY_PER_ATOM
    elif event.fee_asset == line.instrument.base_key:
        paid = event.fee * event.price * line.value_factor
        line.trade(-event.fee, paid)
        line.fees += paid
    elif (other := books.position_of_base(event.fee_asset)) is not None:
        other.line.fees += other.line.take_out(event.fee)
        other.touch(event.ts)
        books.changed_positions[other.line.symbol] = None


def _funding_settled(books: Books, event: ev.FundingSettled) -> None:
    key = settlement_key(event)
    if key not in books.known_trades:
        books.known_trades.add(key)
        books.move(books.instrument(event.symbol).quote_key, from_atoms(event.amount), event.ts)


def _marked(books: Books, event: ev.Marked) -> None:
    books.equity.append(
        EquityState(
            at=at(event.ts),
            seq=books.seq,
            equity=from_money(event.equity),
            realised=from_money(event.realised),
            unrealised=from_money(event.unrealised),
            fees=from_money(event.fees),
            cash=from_money(event.cash),
            gross=from_money(event.gross),
            drawdown=from_money(event.drawdown),
        )
    )
    for symbol, ticks in event.marks.items():
        held = books.positions.get(symbol)
        if held is None:
            continue
        held.line.mark, held.marked_at = ticks, at(event.ts)
        if held.line.unpriced and ticks:
            held.line.price_adopted(ticks)
        held.touch(event.ts)
        books.changed_positions[symbol] = None


def _feed_changed(books: Books, event: ev.FeedChanged) -> None:
    books.feeds[event.symbol] = (event.state.value, short(event.detail), at(event.ts))
    books.signal(signals.of_feed(books.venue, event))


def _reconciled(books: Books, event: ev.ReconciliationDone) -> None:
    books.reconciliations.append((books.seq, event))
    venue = event.venue or books.venue
    books.signal(signals.of_connection(venue, event))
    books.signal(signals.of_reconciliation(venue, event))


_HANDLERS: dict[type, Callable[[Books, Any], None]] = {
    ev.SessionOpened: _session_opened,
    ev.RunStarted: _run_started,
    ev.RunStopped: _run_stopped,
    ev.TradingStateChanged: _state_changed,
    ev.ScopeStateChanged: _scope_changed,
    ev.ScopesMarked: _of_the_loop,
    ev.FillsMarked: _of_the_loop,
    ev.CancelsTaken: _of_the_loop,
    ev.OverridesActivated: _of_the_loop,
    ev.LimitsActivated: _limits_activated,
    ev.BalanceAdopted: _balance_adopted,
    ev.OrderDenied: _order_denied,
    ev.OrderIntended: _order_intended,
    ev.OrderSent: _order_sent,
    ev.OrderAccepted: _order_accepted,
    ev.OrderRejected: _order_rejected,
    ev.OrderUnknown: _order_unknown,
    ev.OrderNotSent: _order_not_sent,
    ev.OrderFilled: _order_filled,
    ev.CancelRequested: _cancel_requested,
    ev.OrderEnded: _order_ended,
    ev.FundingSettled: _funding_settled,
    **conditionals.HANDLERS,
    **parents.HANDLERS,
    ev.Marked: _marked,
    ev.FeedChanged: _feed_changed,
    ev.ReconciliationDone: _reconciled,
}

__all__ = ["Books", "ProjectionError", "RunState", "StateChange", "apply", "needs"]
