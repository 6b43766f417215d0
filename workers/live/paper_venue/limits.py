"""Request weights per minute and orders per ten seconds, in fixed windows as Binance counts them."""

from __future__ import annotations


class Window:
    """A counter that starts again with each interval of the clock."""

    def __init__(self, limit: int, interval_ms: int) -> None:
        self.limit = limit
        self.interval_ms = interval_ms
        self.used = 0
        self._window = -1

    def add(self, amount: int, now_ms: int) -> int:
        """Count ``amount``; returns the seconds to wait when the limit is passed, else 0."""
        window = now_ms // self.interval_ms
        if window != self._window:
            self._window, self.used = window, 0
        self.used += amount
        if self.used <= self.limit:
            return 0
        return max(1, -(-((window + 1) * self.interval_ms - now_ms) // 1000))
