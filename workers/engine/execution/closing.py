"""What of a position a parent can close, and making room for it: what else works on its lots is cancelled first.

A stop that rests at the venue, or an order that a strategy has left there, holds the lots that it may sell: the gate
would deny the parent's children as long as it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workers.engine.execution.parent import Parent, ParentRequest

if TYPE_CHECKING:
    from workers.engine.desk import Desk


def displaced(desk: Desk, parent: Parent) -> bool:
    """Ask for the cancel of what holds lots that ``parent`` is to trade; True while any of it may still fill.

    Children of other parents stay: their parents would only send them again, and they close the position too.
    """
    wanted = min(parent.remaining, reducible(desk, parent))
    if reducible(desk, parent, unclaimed=True) >= wanted:
        return False
    side = parent.side
    why = f"parent {parent.parent_id} closes the position"
    for conditional in tuple(desk.books.conditionals.of(parent.symbol).values()):
        if conditional.side is side and conditional.rests:
            desk.conditionals.cancel(conditional.client_id, why)
    others = [order for order in desk.open_orders(parent.symbol) if order.side is side]
    for order in others:
        desk.cancel(order.client_id, why)
    return bool(others)


def reducible(desk: Desk, parent: Parent, *, unclaimed: bool = False) -> int:
    """Lots of the position that ``parent`` can close; ``unclaimed`` leaves out what others' open orders may take."""
    held = max(-desk.position(parent.symbol) * parent.side, 0)
    if not unclaimed:
        return held
    line = desk.books.lines[parent.symbol]
    working = line.open_sell if parent.side < 0 else line.open_buy
    own = sum(desk.books.orders[client_id].remaining for client_id in parent.open)
    return max(held - (working - own), 0)


def closable(desk: Desk, parent: Parent | ParentRequest) -> int:
    """The position in lots of ``parent``; one that is routed may close what any venue holds of its pair."""
    own = desk.books.lines[parent.symbol]
    pair = own.instrument.base, own.instrument.quote
    lines = (one for one in desk.books.lines.values() if (one.instrument.base, one.instrument.quote) == pair)
    return sum(max(-parent.side * line.position, 0) for line in (lines if parent.route else (own,))) // own.lot_atoms
