"""From a target position to the trade that is worth making."""

from __future__ import annotations

from workers.engine.accounting.line import FEE_SCALE, Line
from workers.engine.instruments import Instrument
from workers.engine.risk.limits import Limits


def largest_order(line: Line, limits: Limits, *, price: int) -> int:
    """Lots that one order at ``price`` may have under the limits on quantity and value."""
    by_value = limits.max_order_notional // (price * line.lot_value)
    return min(limits.max_order_lots.get(line.symbol, 0), by_value, line.instrument.max_lots)


def largest_position(line: Line, limits: Limits, *, price: int, free: int, share: int) -> int:
    """Lots to hold at most: the position limit, one ``share``-th of the gross limit, and what ``free`` cash can add."""
    affordable = free * FEE_SCALE // ((FEE_SCALE + line.fee_rate) * price * line.lot_value)
    held = max(line.position, 0) // line.lot_atoms
    by_gross = limits.max_gross // (share * price * line.lot_value)
    return max(min(limits.max_position.get(line.symbol, 0) // line.lot_atoms, by_gross, held + affordable), 0)


def trade_to_target(
    current: int, target: int, *, price: int, instrument: Instrument, band: float, max_lots: int | None = None
) -> int:
    """Signed lots to trade now, 0 when it is not worth it.

    No trade within the band: a change smaller than ``band`` times the larger of both positions is left alone, unless
    the target is flat. A trade below the venue's smallest quantity or notional is left alone too. ``max_lots`` caps one
    order; the rest follows when the strategy looks again.
    """
    change = target - current
    size = abs(change)
    if target != 0 and size < band * max(abs(current), abs(target)):
        return 0
    size = min(size, instrument.max_lots if max_lots is None else min(max_lots, instrument.max_lots))
    if size == 0 or size < instrument.min_lots or size * price * instrument.lot_value < instrument.min_notional_money:
        return 0
    return size if change > 0 else -size
