"""Transaction cost analysis of one parent: what it cost against the price at the decision, and why. Pure.

Perold, The Implementation Shortfall (1988), split as usual: with the decision price ``D``, the price ``A`` when the
first child went to the market, the average price ``P`` of what was filled, and the price ``E`` at the end, a buy of
``Q`` of which ``F`` were filled costs, as a share of ``Q D``::

    explicit = fees / (Q D)        delay  = F (A - D) / (Q D)
    impact   = F (P - A) / (Q D)   missed = (Q - F) (E - D) / (Q D)

Positive is a cost, for sells too: their signs turn around.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

BPS: Final = Decimal(10_000)
MARKOUTS_S: Final = (1, 5, 30)
"""Seconds after a fill at which the market is looked at again."""


class Shortfall(NamedTuple):
    """Shares of the value at the decision; multiply by ``BPS`` for basis points."""

    explicit: Decimal
    delay: Decimal
    impact: Decimal
    missed: Decimal

    @property
    def total(self) -> Decimal:
        """What it cost in all."""
        return self.explicit + self.delay + self.impact + self.missed


def shortfall(
    *,
    sign: int,
    quantity: Decimal,
    filled: Decimal,
    decision: Decimal,
    arrival: Decimal,
    average: Decimal,
    end: Decimal,
    fees: Decimal,
) -> Shortfall:
    """The split above; ``sign`` 1 for a buy and -1 for a sell. ValueError without a quantity or decision price."""
    value = quantity * decision
    if value <= 0:
        raise ValueError(f"expected a quantity and a decision price above 0, was {quantity} and {decision}")
    return Shortfall(
        explicit=fees / value,
        delay=sign * filled * (arrival - decision) / value,
        impact=sign * filled * (average - arrival) / value,
        missed=sign * (quantity - filled) * (end - decision) / value,
    )


def against(sign: int, average: Decimal, benchmark: Decimal) -> Decimal:
    """Share by which ``average`` was worse than ``benchmark``, such as the market's own average while it was worked."""
    if benchmark <= 0:
        raise ValueError(f"expected a benchmark above 0, was {benchmark}")
    return sign * (average - benchmark) / benchmark
