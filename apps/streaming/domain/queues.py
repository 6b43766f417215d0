"""What waits for one client: everything of lossless topics, the newest value of the others. Bounded. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

from apps.streaming.domain.envelopes import Envelope

LOSSLESS_LIMIT: Final = 2000
CONFLATED_LIMIT: Final = 500


class TooSlow(Exception):
    """A client let more lossless messages pile up than is kept for it; it must come again and replay."""


class ClientQueue:
    """Messages for one client, in order for lossless topics, at most one per topic and key for conflated ones."""

    def __init__(self, *, lossless_limit: int = LOSSLESS_LIMIT, conflated_limit: int = CONFLATED_LIMIT) -> None:
        self._events: deque[Envelope] = deque()
        self._newest: dict[tuple[str, str], Envelope] = {}
        self._lossless_limit = lossless_limit
        self._conflated_limit = conflated_limit
        self.conflated = 0
        """How many values were replaced before they were sent."""

    def __len__(self) -> int:
        return len(self._events) + len(self._newest)

    def add_event(self, message: Envelope) -> None:
        """Queue a message that must arrive; TooSlow when the client is too far behind."""
        if len(self._events) >= self._lossless_limit:
            raise TooSlow(f"{len(self._events)} messages wait")
        self._events.append(message)

    def add_value(self, message: Envelope) -> None:
        """Queue a value; an older one of the same key that still waits is dropped, as is the oldest key when full."""
        key = (message["topic"], message["key"])
        if self._newest.pop(key, None) is not None:
            self.conflated += 1
        elif len(self._newest) >= self._conflated_limit:
            self._newest.pop(next(iter(self._newest)))
            self.conflated += 1
        self._newest[key] = message

    def drain(self) -> list[Envelope]:
        """All that waits: lossless first, in order, then the newest values, oldest change first."""
        messages = [*self._events, *self._newest.values()]
        self._events.clear()
        self._newest.clear()
        return messages
