"""From a target position to the trade that is worth making."""

from __future__ import annotations

from workers.engine.instruments import Instrument


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
