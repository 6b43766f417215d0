"""What a decision's quantity would have cost at one venue alone, at the books that the decision looked at. Pure."""

from __future__ import annotations

from workers.engine.execution.routing.inputs import PPB, LitVenue, RouteInputs


def cost_alone(inputs: RouteInputs, symbol: str, atoms: int) -> int | None:
    """Money units that ``atoms`` cost (buy) or bring (sell) at ``symbol``'s book alone, fee included, rounded up.

    What others charge in risk (latency, rejects) is no part of it, as it is no part of what fills really cost. None
    when that book was not looked at, or showed less than ``atoms``; a rest below one of its lots counts in part.
    """
    venue = next((one for one in inputs.lit if one.symbol == symbol), None)
    if venue is None or atoms <= 0:
        return None
    notional, left = 0, atoms
    for ticks, lots in venue.levels:
        part = min(lots * venue.lot_atoms, left)
        notional += part * ticks * venue.value_factor
        left -= part
        if not left:
            return notional + int(inputs.request.side) * _fee(venue, notional)
    return None


def _fee(venue: LitVenue, notional: int) -> int:
    return -(-notional * venue.fee_ppb // PPB)
