"""From lots that are released to one child order, or to leaving the one that rests. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from workers.engine.execution.plan import Placement, rest, take
from workers.engine.instruments import Instrument
from workers.engine.vocabulary import OrderType, Side, TimeInForce

SPARE: Final = 10
"""What is left for a last child must be worth a tenth more than the venue's minimum: the price may move until then."""


class Quote(NamedTuple):
    """The touch in ticks, and our limit price (0 for none)."""

    side: Side
    bid: int
    ask: int
    limit: int

    @property
    def beyond(self) -> bool:
        """Even our own side of the market is beyond the limit price."""
        return bool(self.limit) and (self.bid > self.limit if self.side is Side.BUY else self.ask < self.limit)

    @property
    def reachable(self) -> bool:
        """The other side of the market is within the limit price."""
        return not self.limit or (self.ask <= self.limit if self.side is Side.BUY else self.bid >= self.limit)


def least_lots(instrument: Instrument, price: int) -> int:
    """Lots of the smallest order that the venue takes at ``price``."""
    value = max(price, 1) * instrument.lot_value
    return max(instrument.min_lots, -(-instrument.min_notional_money // value), 1)


def child_lots(*, deficit: int, remaining: int, least: int, most: int, display: int = 0) -> int:
    """Lots of the next child, 0 for none yet. All in lots; the result is never above ``deficit`` or ``most``.

    ``deficit`` lots are released and neither done nor open, ``remaining`` are left of the parent. No child is below
    ``least``, and none leaves a remainder that no later child could have: that remainder is taken along where it is
    released, else the child is made smaller, or waits until all is released.
    """
    deficit = min(deficit, remaining)
    size = min(deficit, most, max(display, least) if display else deficit)
    left, enough = remaining - size, least + -(-least // SPARE)
    if 0 < left < enough:
        if deficit >= remaining and remaining <= most:
            size = remaining
        elif remaining - enough >= least:
            size = min(size, remaining - enough)
        elif most >= remaining:
            size = 0
    return size if size >= max(least, 1) else 0


def cross(quote: Quote, offset_ticks: int) -> Placement:
    """Take the other side, not beyond the limit price."""
    order_type, tif, price = take(quote.side, bid=quote.bid, ask=quote.ask, offset_ticks=offset_ticks)
    return Placement(order_type, tif, _limited(quote, price))


def wait(quote: Quote, *, at_limit: bool) -> Placement:
    """Rest at our own touch, not beyond the limit price; ``at_limit``: at the limit price itself where there is one."""
    if at_limit and quote.limit:
        return Placement(OrderType.LIMIT, TimeInForce.GTC, quote.limit)
    order_type, tif, price = rest(quote.side, bid=quote.bid, ask=quote.ask)
    return Placement(order_type, tif, _limited(quote, price))


def left_behind(quote: Quote, price: int) -> bool:
    """The market went away from a resting order at ``price``, and it could follow."""
    best = _limited(quote, quote.bid if quote.side is Side.BUY else quote.ask)
    return price < best if quote.side is Side.BUY else price > best


def _limited(quote: Quote, price: int) -> int:
    if not quote.limit:
        return price
    return min(price, quote.limit) if quote.side is Side.BUY else max(price, quote.limit)
