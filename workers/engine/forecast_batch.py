"""When to ask for forecasts: once the bars of all traded instruments have closed, in one batch."""

from __future__ import annotations

from collections.abc import Sequence

from workers.engine.market_state import MarketState


class ForecastBatch:
    """Follows the ends of bars; an instrument whose bar is late is not waited for longer than ``grace_ns``."""

    __slots__ = ("_asked", "_end", "_grace_ns", "_since")

    def __init__(self, grace_ns: int) -> None:
        self._grace_ns = grace_ns
        self._end = 0
        self._asked = 0
        self._since = 0

    def closed(self, end: int, now: int) -> None:
        """A bar that ends at ``end`` closed at ``now``."""
        if end > self._end:
            self._end, self._since = end, now

    def due(self, traded: Sequence[MarketState], now: int) -> int:
        """End of the bars to forecast from now, once for each; 0 while there is nothing to ask."""
        end = self._end
        if end <= self._asked:
            return 0
        if now - self._since < self._grace_ns and any(market.bar_end < end for market in traded):
            return 0
        self._asked = end
        return end


def closes_at(traded: Sequence[MarketState], end: int, length: int) -> dict[str, tuple[float, ...]]:
    """The last ``length`` closes in the quote asset of each instrument whose bar ended at ``end``, oldest first."""
    closes: dict[str, tuple[float, ...]] = {}
    for market in traded:
        if market.bar_end == end and len(market.closes) >= length:
            tick = float(market.line.instrument.tick)
            closes[market.symbol] = tuple(ticks * tick for ticks in list(market.closes)[-length:])
    return closes
