"""Parent orders in the books: what journal events make of them. Functions of the books; pure."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from workers.engine import events as e
from workers.engine.accounting.line import Line
from workers.engine.config import SECOND_NS
from workers.engine.execution.markouts import SAME, Unit
from workers.engine.execution.orders import Order
from workers.engine.execution.parent import Parent, ParentStatus
from workers.engine.instruments import MONEY_PER_ATOM
from workers.engine.vocabulary import OrderStatus

if TYPE_CHECKING:
    from workers.engine.accounting.books import Books

FIRST_PAUSE_NS: Final = SECOND_NS // 4
LONGEST_PAUSE_NS: Final = 16 * SECOND_NS


def parent_of(event: e.ParentStarted) -> Parent:
    """The parent that begins with ``event``."""
    return Parent(
        parent_id=event.parent_id,
        run_id=event.run_id,
        by=event.by,
        symbol=event.symbol,
        side=event.side,
        lots=event.lots,
        algorithm=event.algorithm,
        params=event.params,
        start=event.start,
        end=event.end,
        limit_price=event.limit_price,
        reduce_only=event.reduce_only,
        seed=event.seed,
        arrival=event.arrival,
        created=event.ts,
        updated=event.ts,
        route=event.route,
        displaces=event.displaces,
        status=ParentStatus.CANCELLING if event.refused else ParentStatus.ACTIVE,
        detail=event.refused,
    )


def on_started(books: Books, event: e.ParentStarted) -> tuple[Line, ...]:
    """A parent was taken on."""
    books.parents[event.parent_id] = books.working[event.parent_id] = parent = parent_of(event)
    parent.lot_atoms = books.lines[event.symbol].lot_atoms
    return ()


def on_routed(books: Books, event: e.RouteDecided) -> tuple[Line, ...]:
    """A slice was routed; its legs follow."""
    parent = books.parents.get(event.parent_id)
    if parent is not None:
        parent.routes, parent.updated = event.number, event.ts
        parent.begun = parent.begun or event.mid
    return ()


def on_cancel_requested(books: Books, event: e.ParentCancelRequested) -> tuple[Line, ...]:
    """A parent is to end; one that is over stays as it is."""
    parent = books.working.get(event.parent_id)
    if parent is not None:
        parent.status, parent.detail, parent.updated = ParentStatus.CANCELLING, event.reason, event.ts
    return ()


def on_ended(books: Books, event: e.ParentEnded) -> tuple[Line, ...]:
    """A parent is over."""
    parent = books.working.pop(event.parent_id, None)
    if parent is not None:
        parent.status, parent.detail, parent.updated = event.status, event.detail, event.ts
        books.markouts.on_ended(event.parent_id)
    return ()


def on_marked(books: Books, event: e.FillsMarked) -> tuple[Line, ...]:
    """The market was looked at after fills."""
    books.markouts.on_marked(event)
    return ()


def on_measured(books: Books, event: e.ParentMeasured) -> tuple[Line, ...]:
    """The sum of it, for those who judge the execution."""
    books.markouts.on_measured(event.parent_id)
    parent = books.parents.get(event.parent_id)
    if parent is not None:
        parent.measured = True
    return ()


def denied(parent: Parent, event: e.OrderDenied) -> None:
    """The gate refused a child: pause, and longer each time."""
    parent.detail = "denied: " + ", ".join(reason.value for reason in event.reasons)
    parent.updated = event.ts
    if not event.route:
        # A leg's venue is left out for a while instead, and the others go on.
        _pause(parent, event.ts)


def intended(parent: Parent, order: Order) -> None:
    """A child was decided."""
    parent.children += 1
    if order.symbol == parent.symbol:
        parent.begun = parent.begun or order.reference
    parent.open.append(order.client_id)
    parent.updated = order.created


def counted(parent: Parent, order: Order) -> None:
    """A child changed: keep the list of open ones, and pause after one that came to nothing by itself."""
    listed = order.client_id in parent.open
    if order.open and not listed:
        parent.open.append(order.client_id)
    elif listed and not order.open:
        parent.open.remove(order.client_id)
        if not order.filled and not order.cancel_requested and order.status is not OrderStatus.FILLED:
            parent.detail = f"child {order.status.value.lower()}: {order.detail}".rstrip(": ")
            if not order.route:
                _pause(parent, order.updated)


def filled(parent: Parent, line: Line, event: e.OrderFilled, notional: int) -> bool:
    """A child was filled in ``line``; False when the parent now has more than it was for.

    Lots of a leg's instrument are a multiple of the parent's own: the router leaves out every other.
    """
    parent.filled += event.lots * line.lot_atoms // (parent.lot_atoms or line.lot_atoms)
    parent.notional += notional
    if event.fee_asset == line.instrument.quote_key:
        parent.fees += event.fee * MONEY_PER_ATOM
    elif event.fee_asset == line.instrument.base_key:
        parent.fees += event.fee * event.price * line.value_factor
    ts = max(event.ts, parent.fills[-1][0] if parent.fills else 0)
    parent.fills.append((ts, parent.filled))
    parent.updated = event.ts
    parent.setbacks = parent.quiet_until = 0
    return parent.filled <= parent.lots


def unit_of(books: Books, parent: Parent, line: Line) -> Unit:
    """What a lot of ``line`` is in the parent's own instrument."""
    if parent.symbol == line.symbol:
        return SAME
    own = books.lines[parent.symbol]
    return Unit(line.lot_atoms // own.lot_atoms, Fraction(line.lot_value, own.lot_value))


def _pause(parent: Parent, ts: int) -> None:
    pause = min(FIRST_PAUSE_NS << min(parent.setbacks, 16), LONGEST_PAUSE_NS)
    parent.setbacks += 1
    parent.quiet_until = ts + pause
