"""Position figures for display, in exact decimals; the keeping itself is the engine's."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Final

_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


def unrealised(*, quantity: Decimal, cost: Decimal, mark: Decimal | None) -> Decimal | None:
    """Value at the mark less cost; None without a mark."""
    if mark is None:
        return None
    with localcontext(_EXACT):
        return quantity * mark - cost


def per_unit(amount: Decimal, quantity: Decimal) -> Decimal | None:
    """Average price to eight decimals, for display; None of nothing."""
    if quantity == 0:
        return None
    with localcontext(_EXACT):
        return (amount / quantity).quantize(Decimal("1e-8"))
