"""From a target position to the trade that is worth making."""

from __future__ import annotations

from typing import Any, NamedTuple

from workers.engine.accounting.line import FEE_SCALE, Line
from workers.engine.instruments import Instrument
from workers.engine.risk.limits import Limits
from workers.engine.vocabulary import Side


def largest_order(line: Line, limits: Limits, *, price: int) -> int:
    """Lots that one order at ``price`` may have under the limits on quantity and value."""
    by_value = limits.max_order_notional // (price * line.lot_value)
    return min(limits.max_order_lots.get(line.symbol, 0), by_value, line.instrument.max_lots)


def largest_position(line: Line, limits: Limits, *, price: int, free: int, gross: int, parts: int = 1) -> int:
    """Lots to hold at most: the position limit, and what cash and limits let the position grow by from here.

    ``free`` is cash and ``gross`` what all instruments are worth with their open orders, in money units. Of the gross
    limit the position is one of ``parts`` equal parts at most. Open buys count as bought, and dust below a lot as held.
    """
    bound, lot = limits.max_position.get(line.symbol, 0), price * line.lot_value
    room = (bound - line.position) // line.lot_atoms - line.open_buy
    affordable = free * FEE_SCALE // ((FEE_SCALE + line.fee_rate) * lot)
    more = max(min(room, (limits.max_gross - gross) // lot, affordable), 0)
    held = max(line.position, 0) // line.lot_atoms
    return min(bound // line.lot_atoms, limits.max_gross // (parts * lot), held + more)


class Room(NamedTuple):
    """Lots that one instrument's position, and one order in it, may come to under the limits in force."""

    position: int
    order: int


class Move(NamedTuple):
    """A trade that is larger than one order may be, and under way in parts; gone with the process.

    ``target`` are lots to hold in the end, and ``decision`` says why; the newest part is ``client_id`` and left at
    ``sent_at`` (ns).
    """

    target: int
    side: Side
    decision: dict[str, Any]
    client_id: str
    sent_at: int


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
