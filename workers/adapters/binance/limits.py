"""When to try again and how much may be asked: reconnect delays and the REST weight budget. Pure; time is passed in."""

from __future__ import annotations

import random
from typing import Final

WINDOW_S: Final = 60.0


class Backoff:
    """Delays between connection attempts.

    The first attempt after a good connection is immediate; then the ceiling doubles from ``base_s`` up to ``cap_s``
    and the delay is drawn uniformly below it ("full jitter"), so that many clients do not return together.
    """

    def __init__(self, rng: random.Random, *, base_s: float = 0.5, cap_s: float = 30.0) -> None:
        self._rng = rng
        self._base_s = base_s
        self._cap_s = cap_s
        self.failures = 0

    @property
    def ceiling_s(self) -> float:
        """The longest that the next delay can be."""
        if not self.failures:
            return 0.0
        return min(self._cap_s, self._base_s * 2.0 ** min(self.failures - 1, 32))

    def next_delay(self) -> float:
        """Seconds to wait before the next attempt; counts as a failure until ``reset``."""
        ceiling = self.ceiling_s
        self.failures += 1
        return self._rng.uniform(0.0, ceiling)

    def reset(self) -> None:
        """The connection has proven good: the next attempt is immediate again."""
        self.failures = 0


class WeightBudget:
    """Request weight used in the venue's minute, and how long to hold back.

    The venue's own count (header ``X-MBX-USED-WEIGHT-1M``) overrides ours, because other clients share the address.
    Times are seconds of any monotonic clock.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
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
        return self._window_start + WINDOW_S - now_s
