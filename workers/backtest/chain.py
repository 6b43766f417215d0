"""The journal of a backtest: kept in memory, chained by hash exactly as the execution journal on disk."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from workers.engine.events import JournalEvent

GENESIS: Final = bytes(32)


class JournalChain:
    """Events in their order; ``head`` is the hash that the execution journal would have after the same events."""

    __slots__ = ("_encode", "_head", "append", "events")

    def __init__(self) -> None:
        self.events: list[JournalEvent] = []
        self.append = self.events.append
        self._encode = msgspec.json.Encoder().encode
        self._head: tuple[int, bytes] = (0, GENESIS)

    @property
    def head(self) -> str:
        """Hash of the newest record in hex; only events since the last call are hashed."""
        seq, digest = self._head
        encode, sha256 = self._encode, hashlib.sha256
        for event in self.events[seq:]:
            digest = sha256(digest + encode(event)).digest()
        self._head = (len(self.events), digest)
        return digest.hex()
