"""How much may be asked: the REST request budget. Pure; time is passed in."""

from __future__ import annotations

from typing import Final

from workers.engine.market.reconnect import Backoff

__all__ = ["WINDOW_S", "Backoff", "WeightBudget"]

WINDOW_S: Final = 60.0


class WeightBudget:
    """Request weight used in the venue's window (a minute at Binance), and how long to hold back.

    The venue's own count (header ``X-MBX-USED-WEIGHT-1M``) overrides ours, because other clients share the address.
    Times are seconds of any monotonic clock.
    """

    def __init__(self, limit: int, window_s: float = WINDOW_S) -> None:
        self.limit = limit
        self.window_s = window_s
        self.used = 0
        self._window_start = float("-inf")
        self._blocked_until = float("-inf")

    def delay(self, weight: int, now_s: float) -> float:
        """Seconds to wait before a request of ``weight`` may be sent; 0 for now."""
        blocked = max(0.0, self._blocked_until - now_s)
        left = self._left(now_s)
        if left <= 0.0 or self.used + weight <= self.limit:
            return blocked
        return max(blocked, left)

    def spend(self, weight: int, now_s: float) -> None:
        """A request of ``weight`` is being sent."""
        if self._left(now_s) <= 0.0:
            self._window_start = now_s
            self.used = 0
        self.used += weight

    def observe(self, used: int) -> None:
        """The venue says how much is used."""
        self.used = used

    def block(self, seconds: float, now_s: float) -> None:
        """The venue refused (429 or 418): send nothing for that long."""
        self._blocked_until = max(self._blocked_until, now_s + seconds)

    def _left(self, now_s: float) -> float:
        """Seconds left of the window."""
        return self._window_start + self.window_s - now_s
