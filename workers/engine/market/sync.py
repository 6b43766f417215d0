"""Synchronisation of a depth stream with its REST snapshot, by Binance spot's own rules. Pure.

Source of the rules: Binance spot API documentation, web socket streams, "How to manage a local order book correctly".

1. Buffer the stream's updates; only then fetch a snapshot.
2. A snapshot that ends before the first buffered update begins leaves a hole: fetch another.
3. Drop buffered updates whose last id is within the snapshot.
4. The first update applied straddles the snapshot: ``first_id <= snapshot.last_id + 1 <= last_id``.
5. From then on each update begins where the one before ended: ``first_id == previous.last_id + 1``. Anything else is
   a gap, and everything starts again with the update that revealed it.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Final

from workers.engine.events import BookDelta, BookSnapshot

MAX_BUFFERED: Final = 10_000
"""Updates kept while a snapshot is on its way (1000 s of a 100 ms stream); the oldest go first."""


class Verdict(Enum):
    """What to do with an update."""

    APPLY = auto()
    BUFFERED = auto()
    OLD = auto()
    """The book contains it already."""
    GAP = auto()
    """Updates were lost: the book is void, and this update is the first of the new buffer."""


class DepthSync:
    """Where one instrument's depth stream stands; says which updates to apply and when a snapshot is wanted."""

    __slots__ = ("_buffer", "_straddle", "gaps", "last_id", "synced")

    def __init__(self) -> None:
        self._buffer: deque[BookDelta] = deque(maxlen=MAX_BUFFERED)
        self._straddle = False
        self.synced = False
        self.last_id = 0
        self.gaps = 0

    @property
    def wants_snapshot(self) -> bool:
        """True when updates wait for a snapshot: fetch one now, and pass it to ``on_snapshot``."""
        return bool(self._buffer)

    @property
    def buffered(self) -> int:
        """Updates waiting for a snapshot."""
        return len(self._buffer)

    def reset(self) -> None:
        """Start again, as after a reconnect or a session break."""
        self._buffer.clear()
        self._straddle = False
        self.synced = False
        self.last_id = 0

    def on_delta(self, delta: BookDelta) -> Verdict:
        """Take the next update of the stream."""
        if not self.synced:
            return self._hold(delta)
        expected = self.last_id + 1
        if delta.first_id == expected or (self._straddle and delta.first_id < expected <= delta.last_id):
            self._straddle = False
            self.last_id = delta.last_id
            return Verdict.APPLY
        if delta.last_id < expected:
            return Verdict.OLD
        self.gaps += 1
        self.reset()
        self._buffer.append(delta)
        return Verdict.GAP

    def on_snapshot(self, snapshot: BookSnapshot) -> list[BookDelta] | None:
        """Take a snapshot: the buffered updates to apply on top of it, or None when it cannot be used.

        None means that it is older than the buffer (``wants_snapshot`` stays true) or that nobody asked for it.
        """
        buffer = self._buffer
        if self.synced or (buffer and snapshot.last_id + 1 < buffer[0].first_id):
            return None
        pending = [delta for delta in buffer if delta.last_id > snapshot.last_id]
        self.reset()
        self.synced = True
        self._straddle = not pending
        self.last_id = pending[-1].last_id if pending else snapshot.last_id
        return pending

    def _hold(self, delta: BookDelta) -> Verdict:
        """Buffer an update; one that does not follow the last starts the buffer again."""
        buffer = self._buffer
        if buffer and delta.last_id <= buffer[-1].last_id:
            return Verdict.OLD
        if buffer and delta.first_id != buffer[-1].last_id + 1:
            self.gaps += 1
            buffer.clear()
        buffer.append(delta)
        return Verdict.BUFFERED
