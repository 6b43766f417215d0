"""How a wanted trade becomes one order: at which price, and for how long."""

from __future__ import annotations

from typing import NamedTuple

from workers.engine.vocabulary import OrderType, Side, TimeInForce


class Placement(NamedTuple):
    """Order type, time in force and limit price in ticks."""

    order_type: OrderType
    tif: TimeInForce
    price: int


def take(side: Side, *, bid: int, ask: int, offset_ticks: int) -> Placement:
    """Cross the spread now: a limit just through the touch that fills at once or not at all.

    The limit is what a market order lacks: it bounds the price when the book moves before the order arrives.
    """
    price = ask + offset_ticks if side is Side.BUY else max(bid - offset_ticks, 1)
    return Placement(OrderType.LIMIT, TimeInForce.IOC, price)


def rest(side: Side, *, bid: int, ask: int) -> Placement:
    """Wait in the queue at our side's touch, or one tick inside where the spread has room."""
    room = ask - bid > 1
    if side is Side.BUY:
        return Placement(OrderType.LIMIT, TimeInForce.GTC, bid + room)
    return Placement(OrderType.LIMIT, TimeInForce.GTC, ask - room)
