"""The market of a dark venue: it sees the home venue's book to know the middle, and shows nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from workers.engine.execution.matching_hidden import Moment
from workers.engine.execution.matching_midpoint import MidpointEngine
from workers.engine.execution.matching_types import Reports
from workers.engine.instruments import Instrument
from workers.live.paper_venue.hub import Hub
from workers.live.paper_venue.market import Listing, Market
from workers.live.paper_venue.wire import BookFrame, DepthFrame, Frame, TopFrame


class DarkMarket(Market):
    """Takes the replayed frames as they are. ``listings``, which everybody sees, stay empty; trades are nobody's."""

    def __init__(
        self,
        engine: MidpointEngine,
        instruments: Iterable[Instrument],
        *,
        hub: Hub,
        on_reports: Callable[[Sequence[Reports]], object],
    ) -> None:
        """``engine`` is told the market's time with each frame."""
        listed = tuple(instruments)
        super().__init__(engine, listed, hub=hub, on_reports=on_reports)
        self._dark = engine
        self._reference = {i.symbol: Listing(i) for i in listed}

    def start_trading(self, now: int) -> None:
        """Give the reference books to the engine and open."""
        self.open = True
        self._tell_time()
        for symbol, listing in self._reference.items():
            self._snapshot(symbol, listing, now)
        self.announce(now)

    def stop_trading(self, now: int) -> None:
        """Session break."""
        super().stop_trading(now)
        for listing in self._reference.values():
            listing.clear()

    def show(self, frame: Frame, at_ms: int) -> None:  # noqa: ARG002 - nothing here has a time of its own
        """Take a frame into the reference books."""
        listing = self._reference[frame.symbol]
        match frame:
            case TopFrame():
                listing.top = frame
            case DepthFrame():
                listing.change(frame)
            case BookFrame():
                listing.load(frame)

    def apply(self, frame: Frame, now: int) -> None:
        """Take a frame at ``now`` ns; nothing of it is published."""
        self.events += 1
        self._tell_time()
        listing = self._reference[frame.symbol]
        match frame:
            case TopFrame():
                listing.top = frame
                self._match_top(listing, frame, now)
            case DepthFrame():
                self._match_depth(listing, frame, now)
            case BookFrame():
                listing.load(frame)
                self._snapshot(frame.symbol, listing, now)

    def _tell_time(self) -> None:
        self._dark.moment = Moment(self.number, self.moment)
