"""How much of an instrument traded lately, in lots: of the market, or of our own fills."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from workers.engine.config import SECOND_NS

SLICE_NS: Final = 5 * SECOND_NS
KEPT_NS: Final = 3600 * SECOND_NS
"""The longest window that may be asked for."""


class VolumeWindow:
    """Lots by slices of five seconds, kept for an hour."""

    __slots__ = ("_slices",)

    def __init__(self) -> None:
        self._slices: deque[list[int]] = deque(maxlen=KEPT_NS // SLICE_NS)

    def add(self, ts: int, lots: int) -> None:
        """``lots`` traded at ``ts``; a time before the newest slice counts into that slice."""
        start = ts // SLICE_NS
        if self._slices and self._slices[-1][0] >= start:
            self._slices[-1][1] += lots
        else:
            self._slices.append([start, lots])

    def slices(self) -> list[tuple[int, int]]:
        """(number of the slice, lots), oldest first."""
        return [(start, lots) for start, lots in self._slices]

    def restore(self, slices: Iterable[tuple[int, int]]) -> None:
        """Hold these slices instead."""
        self._slices.clear()
        self._slices.extend([start, lots] for start, lots in slices)

    def total(self, now: int, span_ns: int) -> int:
        """Lots in ``(now - span, now]``, to the slice."""
        oldest, found = (now - span_ns) // SLICE_NS, 0
        for start, lots in reversed(self._slices):
            if start <= oldest:
                break
            found += lots
        return found
