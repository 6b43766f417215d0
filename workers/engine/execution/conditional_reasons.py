"""Which refusals of the gate a triggered order waits out, and which end it."""

from __future__ import annotations

from typing import Final

from workers.engine.vocabulary import Reason

PASSING: Final = frozenset(
    {
        Reason.NOT_RECONCILED,
        Reason.LIMITS_STALE,
        Reason.REFERENCE_MISSING,
        Reason.REFERENCE_STALE,
        Reason.MESSAGE_RATE_EXCEEDED,
        Reason.DUPLICATE_ORDER,
        Reason.ORDER_UNKNOWN_PENDING,
        Reason.OPEN_ORDERS_ABOVE_LIMIT,
    }
)
"""Refusals that time heals, for any order."""
LASTING: Final = frozenset(
    {
        Reason.TRADING_HALTED,
        Reason.FIRM_HALTED,
        Reason.DESK_HALTED,
        Reason.STRATEGY_HALTED,
        Reason.VENUE_HALTED,
        Reason.INSTRUMENT_HALTED,
        Reason.RUN_STOPPED,
        Reason.VENUE_RESTRICTED,
        Reason.INSTRUMENT_UNKNOWN,
        Reason.INSTRUMENT_RESTRICTED,
        Reason.ORDER_TYPE_NOT_OFFERED,
        Reason.QUANTITY_NOT_POSITIVE,
        Reason.QUANTITY_BELOW_MIN,
        Reason.QUANTITY_ABOVE_VENUE_MAX,
        Reason.QUANTITY_ABOVE_LIMIT,
        Reason.NOTIONAL_BELOW_MIN,
        Reason.NOTIONAL_ABOVE_LIMIT,
        Reason.PRICE_MISSING,
        Reason.PRICE_NOT_POSITIVE,
    }
)
"""Refusals that end even an exit: asking again would change nothing."""
