"""Which dialect a venue speaks."""

from __future__ import annotations

from workers.live.execution.binance_dialect import BinanceDialect
from workers.live.execution.config import LoopConfig, VenueAccess
from workers.live.execution.dialect import Dialect


def dialect_of(access: VenueAccess, config: LoopConfig) -> Dialect:
    """The dialect of the venue behind ``access``."""
    return BinanceDialect(access, config)
