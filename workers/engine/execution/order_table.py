"""Which order types a venue does itself and which the kernel does in its place. ``docs/orders.md`` shows this table."""

from __future__ import annotations

from typing import Final

from workers.engine.market.venues import Feature, VenueRules, holds_stop

NATIVE: Final = "native"
EMULATED: Final = "emulated"
NONE: Final = "-"

F = Feature
SENT: Final = (F.MARKET, F.LIMIT, F.LIMIT_MAKER, F.IOC, F.FOK, F.GTC)
"""Types that go out as the venue knows them."""
HELD: Final = (F.STOP, F.STOP_LIMIT, F.TAKE_PROFIT, F.TRAILING_STOP, F.OCO, F.BRACKET)
"""Types that the kernel holds, so that the gate and halts apply when they fire; plain stops where no venue does."""
KEPT: Final = (F.GTD, F.DAY)
"""Types that the kernel's clock ends at every venue."""


def how(feature: Feature, venue: VenueRules) -> str:
    """``native``, ``emulated``, or ``-`` where neither is possible."""
    if feature in (F.STOP, F.STOP_LIMIT) and holds_stop(venue.features, limited=feature is F.STOP_LIMIT):
        return NATIVE
    if feature in (*HELD, *KEPT):
        return EMULATED
    if venue.supports(feature):
        return NATIVE
    return EMULATED if feature in (F.LIMIT_MAKER, F.REDUCE_ONLY) else NONE


def rows(venues: list[VenueRules]) -> list[tuple[str, ...]]:
    """One row per type: its name, then how each venue does it."""
    listed = (*SENT, *KEPT, *HELD, F.REDUCE_ONLY)
    return [(feature.value, *(how(feature, venue) for venue in venues)) for feature in listed]
