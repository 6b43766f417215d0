"""Conditional orders as rows among the other orders: held by the kernel, with the price that they wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from apps.trading.domain import signals
from apps.trading.domain.states import OrderState, at, short
from workers.engine import events as ev
from workers.engine.execution.conditional_types import KEPT, ConditionalKind, ConditionalStatus
from workers.engine.instruments import Instrument

if TYPE_CHECKING:
    from apps.trading.domain.projection import Books

FINAL: Final = frozenset(status for status in ConditionalStatus if not status.is_live)


def type_of(event: ev.ConditionalAccepted) -> str:
    """What the order is called: STOP, STOP_LIMIT, TAKE_PROFIT, TAKE_PROFIT_LIMIT, TRAILING_STOP, or LIMIT."""
    limited = event.price and event.kind in (ConditionalKind.STOP, ConditionalKind.TAKE_PROFIT)
    return f"{event.kind.value}_LIMIT" if limited else event.kind.value


def _accepted(books: Books, event: ev.ConditionalAccepted) -> None:
    instrument = books.instrument(event.symbol)
    order = OrderState(
        client_id=event.client_id,
        symbol=event.symbol,
        side=event.side.name,
        order_type=type_of(event),
        tif=event.tif.value,
        status=ConditionalStatus.ARMED.value,
        quantity=instrument.quantity(event.lots),
        price=_price(instrument, event.price),
        reference_price=_price(instrument, event.reference),
        reduce_only=event.reduce_only,
        run_id=event.run_id,
        decision={
            **event.decision,
            "source": event.source.value,
            "trail_ticks": event.trail_ticks,
            "trail_bps": event.trail_bps,
        },
        trigger_price=_price(instrument, event.trigger),
        expires_at=at(event.expires_at) if event.expires_at else None,
        emulated=short(event.emulated),
        origin=event.entry,
        group=event.group,
        created_at=at(event.ts),
        updated_at=at(event.ts),
        last_seq=books.seq,
    )
    held = "held by the venue" if event.native else KEPT
    order.note(books.seq, event.ts, what=held, detail=event.emulated)
    books.orders[event.client_id] = order
    books.changed_orders[event.client_id] = None
    if event.reduce_only and event.kind in (ConditionalKind.STOP, ConditionalKind.TRAILING_STOP):
        books.signal(signals.of_held_stop(books.venue, event.symbol))


def _moved(books: Books, event: ev.ConditionalMoved) -> None:
    """No line of the timeline: a trailing stop may move thousands of times."""
    order = books.order(event.client_id, "moved")
    if order is not None:
        order.trigger_price = _price(books.instrument(order.symbol), event.trigger)
        order.updated_at, order.last_seq = at(event.ts), books.seq
        order.version += 1


def _kept(books: Books, event: ev.ConditionalKept) -> None:
    order = books.order(event.client_id, "kept")
    if order is not None:
        order.emulated = short(event.emulated)
        order.note(books.seq, event.ts, what=KEPT, detail=event.emulated)


def _triggered(books: Books, event: ev.ConditionalTriggered) -> None:
    order = books.order(event.client_id, "triggered")
    if order is not None:
        order.status = ConditionalStatus.TRIGGERED.value
        seen = books.instrument(order.symbol).price(event.price)
        source = event.source.value.replace("_", " ").lower()
        order.note(books.seq, event.ts, what="triggered", detail=f"{source} was {seen.normalize():f}")


def _ended(books: Books, event: ev.ConditionalEnded) -> None:
    order = books.order(event.client_id, "ended")
    if order is not None:
        order.status, order.detail = event.status.value, short(event.detail)
        order.filled_quantity = books.instrument(order.symbol).quantity(event.filled)
        order.ended_at = at(event.ts)
        order.note(books.seq, event.ts, what="over", detail=event.detail)
        if event.unprotected:
            books.signal(signals.of_lost_stop(books.venue, order.symbol, event))


def _price(instrument: Instrument, ticks: int) -> Any:
    return instrument.price(ticks) if ticks else None


HANDLERS: Final[dict[type, Callable[[Books, Any], None]]] = {
    ev.ConditionalAccepted: _accepted,
    ev.ConditionalMoved: _moved,
    ev.ConditionalKept: _kept,
    ev.ConditionalTriggered: _triggered,
    ev.ConditionalEnded: _ended,
}
