"""Settings of one kernel; all times in ns."""

from __future__ import annotations

from typing import Final

import msgspec

from workers.engine.market.venues import PAPER, Feature

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS


class KernelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How the kernel treats time. The defaults are those of live and paper trading.

    ``max_pause_ns``: a longer silence between two inputs means that the process was stopped (SIGSTOP, a sleeping
    laptop, a clock that jumped): nothing known before it may be traded on. 0 switches the check off, for backtests,
    whose inputs are as far apart as their bars.
    """

    max_pause_ns: int = 3 * SECOND_NS
    mark_interval_ns: int = 5 * SECOND_NS
    peak_parts: int = 100
    """A high-water mark is journalled before its time as soon as it has moved by this part of the drawdown limit: a
    process that dies loses no more of it. 0: only with every mark, for backtests, which never come back."""
    send_within_ns: int = 2 * SECOND_NS
    """A decision older than this must not reach the wire."""
    denial_pause_ns: int = SECOND_NS
    """After a denial, further orders of that side and symbol are not even proposed for so long."""
    features: frozenset[Feature] = PAPER.features - {Feature.STOP, Feature.STOP_LIMIT, Feature.TRIGGER_LAST_TRADE}
    """What the home venue does natively; anything else of an order is emulated, and said so on the order.

    Without stops, as a simulated market may have bars alone, and no trade that would trigger them.
    """
    features_at: dict[str, frozenset[Feature]] = {}
    """What other venues of the account do natively, by name; one that is not listed does what the home venue does."""
    forecast_grace_ns: int = SECOND_NS // 2
    """How long to wait for the other instruments' bars before asking for forecasts without them."""

    def features_of(self, venue: str) -> frozenset[Feature]:
        """What ``venue`` does natively."""
        return self.features_at.get(venue, self.features)
