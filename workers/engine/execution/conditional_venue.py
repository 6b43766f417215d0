"""What the venue tells of stops that it holds, and what becomes of orders at the venue that may only reduce."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workers.engine.accounting.line import Line
from workers.engine.events import ConditionalKept, ConditionalTriggered, JournalEvent, OrderFilled, OrderRejected
from workers.engine.execution.conditional_types import KEPT, Conditional
from workers.engine.vocabulary import Side

if TYPE_CHECKING:
    from workers.engine.desk import Desk

VENUE_BUSY: Final = "VENUE_BUSY"
"""Code of a refusal that says nothing of the order."""


def hear_venue(desk: Desk, order: Conditional, event: JournalEvent) -> None:
    """A fill tells that the venue saw the price; after a refusal the kernel holds the order."""
    if isinstance(event, OrderFilled):
        desk.record(
            ConditionalTriggered(
                ts=desk.now,
                client_id=order.client_id,
                price=event.price,
                source=order.source,
                ts_event=event.ts_event,
            )
        )
    elif isinstance(event, OrderRejected) and event.code != VENUE_BUSY:
        said = f"{KEPT} on the last trade: the venue refused it ({event.code} {event.message})"
        desk.record(ConditionalKept(ts=desk.now, client_id=order.client_id, emulated=said))


def guard(desk: Desk, line: Line) -> None:
    """Cancel the newest reduce-only orders that the position no longer covers together with all others."""
    held = max(line.position, 0), max(-line.position, 0)
    for side, atoms, lots in ((Side.SELL, held[0], line.open_sell), (Side.BUY, held[1], line.open_buy)):
        excess = lots - atoms // line.lot_atoms
        if excess <= 0:
            continue
        for order in reversed(tuple(line.open.values())):
            if order.side is side and order.reduce_only and excess > 0:
                excess -= order.remaining
                desk.cancel(order.client_id, "the position it may reduce is smaller now")
