"""What a position cost: first in first out, beside the average cost of ``Line``. Either conserves every money unit.

For both, ``cost == sum of signed notionals + realised`` holds to the last unit, so realised and unrealised profit
together are the same by either method; only how they part differs.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Protocol

from workers.engine.accounting.line import Line
from workers.engine.instruments import Instrument


class CostMethod(StrEnum):
    AVERAGE = "average"
    FIFO = "fifo"


class CostLine(Protocol):
    """A position of one instrument with its cost, in atoms and money units; ``Line`` and ``FifoLine`` are such."""

    instrument: Instrument
    position: int
    cost: int
    unpriced: int
    realised: int
    fees: int
    funding: int

    def trade(self, atoms: int, notional: int) -> int: ...

    def price_adopted(self, ticks: int) -> int: ...

    def take_out(self, atoms: int) -> int: ...


class FifoLine:
    """First in, first out: a sale takes the oldest lots. Short lots have negative atoms and cost."""

    __slots__ = ("cost", "fees", "funding", "instrument", "lots", "position", "realised", "unpriced")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.position = 0
        self.cost = 0
        self.unpriced = 0
        self.realised = 0
        self.fees = 0
        self.funding = 0
        self.lots: deque[tuple[int, int]] = deque()
        """(signed atoms, signed cost), oldest first; together with ``unpriced`` they are the position."""

    def trade(self, atoms: int, notional: int) -> int:
        """Move the position by signed ``atoms`` worth ``notional`` money units; return the realised profit."""
        value = notional if atoms > 0 else -notional
        left, left_value, before = atoms, value, self.cost
        while left and self.lots and (self.lots[0][0] > 0) != (left > 0):
            held, cost = self.lots.popleft()
            closing = min(abs(left), abs(held))
            gone = cost if closing == abs(held) else cost * closing // abs(held)
            paid = left_value if closing == abs(left) else left_value * closing // abs(left)
            if closing < abs(held):
                self.lots.appendleft((held + (closing if left > 0 else -closing), cost - gone))
            self.cost -= gone
            left += -closing if left > 0 else closing
            left_value -= paid
        if left:
            self.lots.append((left, left_value))
            self.cost += left_value
        self.position += atoms
        realised = self.cost - before - value
        self.realised += realised
        return realised

    def price_adopted(self, ticks: int) -> int:
        """Give adopted atoms their cost at ``ticks``; return it, as capital brought in. They close a short, if any."""
        count = self.unpriced
        value = count * ticks * self.instrument.value_factor
        self.unpriced = 0
        self.position -= count
        self.trade(count, value)
        return value

    def take_out(self, atoms: int) -> int:
        """Remove ``atoms`` without a trade, unpriced ones first, then the oldest; return the cost that left."""
        free = min(atoms, self.unpriced)
        self.unpriced -= free
        rest, removed = atoms - free, 0
        while rest and self.lots and self.lots[0][0] > 0:
            held, cost = self.lots.popleft()
            taken = min(rest, held)
            gone = cost if taken == held else cost * taken // held
            if taken < held:
                self.lots.appendleft((held - taken, cost - gone))
            removed += gone
            rest -= taken
        if rest:
            # More was taken than was held: a debt that cost nothing.
            self.lots.append((-rest, 0))
        self.position -= atoms
        self.cost -= removed
        return removed


def line_of(instrument: Instrument, method: CostMethod) -> CostLine:
    """An empty line of ``instrument``."""
    return Line(instrument) if method is CostMethod.AVERAGE else FifoLine(instrument)
