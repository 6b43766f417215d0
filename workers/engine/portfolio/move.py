"""Bringing a position to so many lots at market, in orders that cash and limits let pass.

What is larger than one order may be goes in parts: the first at once, each other one when a bar has closed, the
strategy was asked and the part before has ended. The rest is dropped when anything else is ordered in the instrument,
when a part ended without a fill, and when there is no room left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.engine.accounting.line import worst_price
from workers.engine.portfolio.plan import Move, trade_to_target
from workers.engine.risk.gate import OrderRequest
from workers.engine.vocabulary import OrderType, Side

if TYPE_CHECKING:
    from workers.engine.desk import Desk
    from workers.engine.market_state import MarketState


def move_to(desk: Desk, symbol: str, lots: int, **why: Any) -> str | None:
    """Order at market what brings the position to ``lots``, or as near as cash and limits let it come.

    Returns the client id of the first order, or None when nothing is to be traded or the gate denied it. ``why`` is
    kept with every order. Without limits in force all of it is proposed, and denied for want of them.
    """
    market = desk.market(symbol)
    target, change = _within(desk, market, lots)
    return _order(desk, market, target, change, why) if change else None


def carry_on(desk: Desk, market: MarketState) -> None:
    """Send the next part of what is under way in ``market``, or drop it; its run is the one that is being asked."""
    move, line = market.move, market.line
    if move is None:
        return
    part = desk.books.orders.get(move.client_id)
    if line.last_intent != move.sent_at or part is None or not (part.open or part.filled):
        market.move = None
    elif not part.open and not 0 <= desk.now - move.sent_at < _pause(desk):
        market.move = None
        target, change = _within(desk, market, move.target)
        if change * move.side > 0 and _order(desk, market, target, change, move.decision) is None:
            # Denied for now, for its pace for instance: the next bar tries again.
            market.move = move


def _pause(desk: Desk) -> int:
    """Time between two parts, ns: parts are alike, and the gate takes what is like an order just sent for a mistake."""
    limits = desk.limits
    return max(limits.duplicate_window_ns, limits.min_order_interval_ns) if limits is not None else 0


def _within(desk: Desk, market: MarketState, lots: int) -> tuple[int, int]:
    """Lots to hold in the end, and the signed lots of the order to send now, 0 for none."""
    held, reference = desk.position(market.symbol), market.reference
    if reference <= 0 or lots == held:
        return lots, 0
    room = desk.room(market.symbol, price=worst_price(reference) if lots > held else reference)
    if room is None:
        return lots, lots - held
    # What is being sold already cannot be sold again.
    target = max(min(lots, room.position), min(market.line.open_sell, held))
    return target, trade_to_target(
        held, target, price=reference, instrument=market.line.instrument, band=0.0, max_lots=room.order
    )


def _order(desk: Desk, market: MarketState, target: int, change: int, decision: dict[str, Any]) -> str | None:
    side, rest = Side.BUY if change > 0 else Side.SELL, target - desk.position(market.symbol) - change
    told = {**decision, "target_lots": target} if rest else decision
    client_id = desk.order(
        OrderRequest(symbol=market.symbol, side=side, lots=abs(change), order_type=OrderType.MARKET, decision=told)
    )
    if client_id and rest:
        market.move = Move(target, side, decision, client_id, desk.now)
    return client_id
