"""The way of the replayed market to one venue: its own view of it, and its faults of the feed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Protocol

import msgspec

from workers.live.paper_venue.venue import Venue
from workers.live.paper_venue.wire import Frame, Grid, TopFrame, TradeFrame

_MS = 1_000_000


class Shading(Protocol):
    """Turns a frame of the replayed market into the venue's."""

    def frame(self, frame: Frame) -> Frame | None:
        """None when there is nothing of it at this venue."""
        ...


class Channel:
    """Hands frames on to a venue's market; what comes while the feed is held waits, and is played at once then."""

    def __init__(self, venue: Venue, grids: Mapping[str, Grid], shading: Shading | None = None) -> None:
        """``grids`` are those of the replayed market; without ``shading`` its frames are the venue's too."""
        self.venue = venue
        self._grids = grids
        self._shading = shading
        self._held: deque[tuple[Frame, int]] = deque()
        self._until = 0

    def show(self, frame: Frame, moment: int, at_ms: int) -> None:
        """See ``Market.show``; ``moment`` is the market's time, ns since its pass began."""
        self.venue.market.moment = moment
        shown = frame if self._shading is None else self._shading.frame(frame)
        if shown is not None:
            self.venue.market.show(shown, at_ms)

    def apply(self, frame: Frame, moment: int, now: int) -> None:
        """See ``Market.apply``; ``moment`` as above."""
        faults = self.venue.faults
        if faults.pause_feed_ms:
            self._until, faults.pause_feed_ms = now + faults.pause_feed_ms * _MS, 0
        if self._until:
            self._held.append((frame, moment))
            if now >= self._until:
                self.flush(now)
            return
        self._pass(frame, moment, now)

    def flush(self, now: int) -> None:
        """Play what was held."""
        self._until = 0
        while self._held:
            frame, moment = self._held.popleft()
            self._pass(frame, moment, now)

    def _pass(self, frame: Frame, moment: int, now: int) -> None:
        market = self.venue.market
        market.moment = moment
        if self.venue.faults.spike_frames:
            frame = self._spiked(frame)
        shown = frame if self._shading is None else self._shading.frame(frame)
        if shown is not None:
            market.apply(shown, now)

    def _spiked(self, frame: Frame) -> Frame:
        """Fault: a price that is far off for a moment."""
        faults = self.venue.faults
        if not isinstance(frame, TopFrame | TradeFrame) or not faults.spend("spike_frames"):
            return frame
        grid, factor = self._grids[frame.symbol], 1 + faults.spike_bps / 10_000

        def off(price: str) -> str:
            return grid.price(max(round(grid.ticks(price) * factor), 1))

        if isinstance(frame, TradeFrame):
            return msgspec.structs.replace(frame, price=off(frame.price))
        return msgspec.structs.replace(frame, bid=off(frame.bid), ask=off(frame.ask))
