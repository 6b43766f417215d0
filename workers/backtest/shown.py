"""The book that the simulated venue shows, kept in step with a recording.

While the venue works no order of ours nothing can be filled, and changes of the book are only collected; they are
applied together when an order comes, or at once while one rests. What our orders took from a level stays taken as long
as the level is shown at both times.
"""

from __future__ import annotations

from collections.abc import Sequence

from workers.engine.events import BookDelta, BookSnapshot, MarketEvent, TopOfBook, Trade
from workers.engine.execution.matching import MatchingEngine
from workers.engine.execution.matching_types import Reports

NOTHING: tuple[Reports, ...] = ()


class ShownBook:
    """One instrument. ``take`` every event in order; call ``settle`` before an order reaches the engine."""

    __slots__ = ("_asks", "_bids", "_delta", "_depth", "_early", "_engine", "_last_id", "_quote", "_top")

    def __init__(self, engine: MatchingEngine, *, depth: bool) -> None:
        self._engine = engine
        self._depth = depth
        self._last_id = 0
        """Newest depth update, 0 before the first snapshot."""
        self._early: list[BookDelta] = []
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._delta: BookDelta | None = None
        """Newest of the collected changes."""
        self._top: TopOfBook | None = None
        self._quote: TopOfBook | None = None

    def take(self, event: MarketEvent, *, working: bool) -> Sequence[Reports]:
        """Take one event; with ``working`` orders at the venue, match it at once and return their reports."""
        kind = type(event)
        if kind is TopOfBook:
            if self._depth:
                self._top = event if self._last_id else None  # type: ignore[assignment]  # kind is what it is
            else:
                self._quote = event  # type: ignore[assignment]
        elif kind is Trade:
            if working:
                return [*self.settle(), *self._engine.on_trade(event)]  # type: ignore[arg-type]
            return NOTHING
        elif kind is BookDelta:
            self._collect(event)  # type: ignore[arg-type]
        elif kind is BookSnapshot:
            return self._load(event)  # type: ignore[arg-type]
        return self.settle() if working else NOTHING

    def settle(self) -> Sequence[Reports]:
        """Bring the engine's book up to the newest event; return what that filled."""
        reports: list[Reports] = []
        if self._delta is not None:
            reports += self._engine.on_delta(self._together(self._delta))
            self._delta = None
            self._bids, self._asks = {}, {}
        if self._top is not None and self._top.update_id > self._last_id:
            reports += self._engine.on_top(self._top)
        self._top = None
        if self._quote is not None:
            reports += self._engine.on_snapshot(_book_of(self._quote))
            self._quote = None
        return reports

    def _collect(self, event: BookDelta) -> None:
        if not self._last_id:
            self._early.append(event)
        elif event.last_id > self._last_id:
            self._bids.update(event.bids)
            self._asks.update(event.asks)
            self._delta = event
            self._last_id = event.last_id

    def _load(self, event: BookSnapshot) -> Sequence[Reports]:
        """A whole book, and the changes that came before it and are newer."""
        reports = self._engine.on_snapshot(event)
        self._bids, self._asks, self._delta = {}, {}, None
        self._last_id = event.last_id
        for delta in self._early:
            self._collect(delta)
        self._early.clear()
        return [*reports, *self.settle()]

    def _together(self, newest: BookDelta) -> BookDelta:
        return BookDelta(
            symbol=newest.symbol,
            ts_event=newest.ts_recv,
            ts_recv=newest.ts_recv,
            first_id=newest.first_id,
            last_id=newest.last_id,
            bids=tuple(self._bids.items()),
            asks=tuple(self._asks.items()),
        )


def _book_of(quote: TopOfBook) -> BookSnapshot:
    """Without depth, the best bid and ask are the whole book."""
    return BookSnapshot(
        symbol=quote.symbol,
        ts_event=quote.ts_event,
        ts_recv=quote.ts_recv,
        last_id=quote.update_id,
        bids=((quote.bid, quote.bid_lots),),
        asks=((quote.ask, quote.ask_lots),),
    )
