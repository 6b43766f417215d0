"""When to connect again, and when to give a connection up. Pure; time and chance are passed in.

* The first attempt after a good connection is immediate; then the ceiling doubles from ``base_s`` up to ``cap_s`` and
  the delay is drawn uniformly below it ("full jitter"), so that many clients do not return together.
* A connection proves good only by ``good_messages`` messages: one that is accepted and cut at once must not make the
  next attempt immediate for ever.
* A connection is replaced ``max_age_s`` after its opening, before the venue cuts it, and dropped after ``silence_s``
  without any message.
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class Uniform(Protocol):
    """A source of chance that the caller seeds; ``random.Random`` is one."""

    def uniform(self, a: float, b: float) -> float: ...


class Backoff:
    """Delays between connection attempts: immediate first, doubling ceiling, cap, full jitter."""

    def __init__(self, rng: Uniform, *, base_s: float = 0.5, cap_s: float = 30.0) -> None:
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


class ReconnectConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Patience with one venue's connections; seconds."""

    base_s: float = 0.5
    cap_s: float = 30.0
    good_messages: int = 100
    silence_s: float = 30.0
    max_age_s: float = 23 * 3600.0

    def __post_init__(self) -> None:
        for name in ("base_s", "cap_s", "silence_s", "max_age_s"):
            value = getattr(self, name)
            if not 0.0 < value < float("inf"):
                raise ValueError(f"expected {name} above 0 and finite, was {value}")
        if self.good_messages < 1:
            raise ValueError(f"expected good_messages of at least 1, was {self.good_messages}")


class ReconnectPolicy:
    """One connection after the other: call ``next_delay``, ``opened``, ``heard`` per message, and ask ``verdict``."""

    def __init__(self, rng: Uniform, config: ReconnectConfig | None = None) -> None:
        self.config = config or ReconnectConfig()
        self._backoff = Backoff(rng, base_s=self.config.base_s, cap_s=self.config.cap_s)
        self._messages = 0
        self._opened_s = 0.0
        self._heard_s = 0.0

    @property
    def failures(self) -> int:
        """Attempts since a connection last proved good."""
        return self._backoff.failures

    @property
    def proven(self) -> bool:
        """True once the present connection has proven good."""
        return self._messages >= self.config.good_messages

    def next_delay(self) -> float:
        """Seconds to wait before the next attempt."""
        self._messages = 0
        return self._backoff.next_delay()

    def opened(self, now_s: float) -> None:
        """A connection was made."""
        self._messages = 0
        self._opened_s = self._heard_s = now_s

    def heard(self, now_s: float) -> None:
        """A message came over it."""
        self._heard_s = now_s
        self._messages += 1
        if self._messages == self.config.good_messages:
            self._backoff.reset()

    def verdict(self, now_s: float) -> tuple[str, float]:
        """Why the connection must go now, else an empty text and the seconds until this must be asked again."""
        silent_at = self._heard_s + self.config.silence_s
        old_at = self._opened_s + self.config.max_age_s
        if now_s >= silent_at:
            return f"silent for {self.config.silence_s:g} s", 0.0
        if now_s >= old_at:
            return f"planned reconnect after {self.config.max_age_s:g} s", 0.0
        return "", min(silent_at, old_at) - now_s
