"""One instrument's line in the books: position, average cost and what its open orders could do to it.

Average cost with exact conservation: removing part of a position removes the floor of its share of the cost, and what
rounding leaves stays in the cost, so that ``cost == sum of signed notionals + realised`` holds to the last money unit.
"""

from __future__ import annotations

from decimal import ROUND_CEILING
from typing import Final, Protocol

from workers.engine.execution.orders import Order
from workers.engine.instruments import Instrument
from workers.engine.vocabulary import OrderType, Side

FEE_SCALE: Final = 10**8
MARKET_ORDER_MARGIN_BPS: Final = 500
"""A market buy is taken to cost up to this much more than its reference."""


def worst_price(reference: int) -> int:
    """Ticks that a market buy is taken to cost at worst."""
    return reference + reference * MARKET_ORDER_MARGIN_BPS // 10_000 + 1


class Watcher(Protocol):
    """Somebody whose sums follow a line's mark."""

    def marked(self) -> None: ...


class Line:
    """Books of one instrument. ``position`` in atoms of the base, ``cost`` in money units (negative when short).

    ``unpriced`` atoms were adopted from the venue and have no cost yet: the next fill or mark prices them, which
    counts as capital brought in, not as profit. ``mark``, ``value``, ``worst`` and ``extreme`` (``worst`` with the sign
    of the position that it is of, 0 without a mark) belong to the valuation, which is not journalled.
    """

    __slots__ = (
        "cost",
        "extreme",
        "fee_rate",
        "fees",
        "funding",
        "instrument",
        "last_intent",
        "lot_atoms",
        "lot_value",
        "mark",
        "open",
        "open_buy",
        "open_sell",
        "position",
        "realised",
        "reserved",
        "symbol",
        "unknown",
        "unpriced",
        "value",
        "value_factor",
        "venue",
        "watched",
        "worst",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.venue = instrument.venue
        """Venue of the account at which it lies, as the books name it."""
        self.position = 0
        self.cost = 0
        self.unpriced = 0
        self.realised = 0
        self.fees = 0
        self.funding = 0
        self.open: dict[str, Order] = {}
        self.open_buy = 0
        self.open_sell = 0
        self.reserved = 0
        self.unknown = 0
        self.last_intent = 0
        self.mark = 0
        self.value = 0
        self.worst = 0
        self.extreme = 0
        self.watched: list[Watcher] = []
        """Told by the valuation of every new mark; no part of the books."""
        self.value_factor = instrument.value_factor
        self.describe(instrument)

    def describe(self, instrument: Instrument) -> None:
        """Take the venue's (new) filters; a changed grid makes the old mark meaningless."""
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.lot_atoms = instrument.lot_atoms
        self.lot_value = instrument.lot_value
        if self.mark and self.value_factor != instrument.value_factor:
            self.mark = 0
        self.value_factor = instrument.value_factor
        rate = max(instrument.taker_fee, instrument.maker_fee) * FEE_SCALE
        self.fee_rate = max(int(rate.to_integral_value(ROUND_CEILING)), 0)

    def trade(self, atoms: int, notional: int) -> int:
        """Move the position by signed ``atoms`` worth ``notional`` money units; return the realised profit."""
        held = self.position
        if held == 0 or (held > 0) == (atoms > 0):
            self.position = held + atoms
            self.cost += notional if atoms > 0 else -notional
            return 0
        size, whole = abs(atoms), abs(held)
        closing = min(size, whole)
        removed = self.cost if closing == whole else self.cost * closing // whole
        part = notional if closing == size else notional * closing // size
        realised = part - removed if held > 0 else -removed - part
        rest = notional - part
        self.cost += (rest if atoms > 0 else -rest) - removed
        self.position = held + atoms
        self.realised += realised
        return realised

    def price_adopted(self, ticks: int) -> int:
        """Give adopted atoms their cost at ``ticks``; return it, as capital brought in."""
        value = self.unpriced * ticks * self.value_factor
        self.unpriced = 0
        self.cost += value
        return value

    def take_out(self, atoms: int) -> int:
        """Remove ``atoms`` without a trade, unpriced ones first; return the average cost that left with them."""
        free = min(atoms, self.unpriced)
        self.unpriced -= free
        priced = self.position - free - self.unpriced
        rest = atoms - free
        removed = self.cost * min(rest, priced) // priced if priced > 0 else 0
        self.position -= atoms
        self.cost -= removed
        return removed

    def worst_cost(self, order_type: OrderType, price: int, reference: int, lots: int) -> int:
        """Money units that a buy may take at worst: its limit, or the reference with a margin, and the higher fee."""
        if order_type is OrderType.MARKET:
            price = worst_price(reference)
        notional = price * lots * self.lot_value
        return notional + (notional * self.fee_rate + FEE_SCALE - 1) // FEE_SCALE

    def count(self, order: Order) -> tuple[int, int]:
        """Bring the open totals in step with ``order``; return the changes of (open orders, reserved money)."""
        left = order.remaining if order.open else 0
        change = left - order.counted
        order.counted = left
        reserved = 0
        if order.side is Side.BUY:
            self.open_buy += change
            reserved = self.worst_cost(order.order_type, order.price, order.reference, left) if left else 0
        else:
            self.open_sell += change
        held = reserved - order.reserved
        order.reserved = reserved
        self.reserved += held
        before = len(self.open)
        if order.open:
            self.open[order.client_id] = order
        else:
            self.open.pop(order.client_id, None)
        return len(self.open) - before, held
