"""The venues of one loop: which of them a symbol belongs to, and what concerns all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from workers.adapters.venue import VenueUnreachable
from workers.engine.events import JournalEvent, Level, OrderIntended, OrderNotSent
from workers.engine.instruments import split_key
from workers.engine.vocabulary import Side
from workers.live.execution.gateway import NO_CAUSE, Cause
from workers.live.execution.venue_session import VenueSession


class Venues:
    """Home first. Orders and cancels find their venue by their symbol."""

    def __init__(self, sessions: Sequence[VenueSession]) -> None:
        self.home = sessions[0]
        self._sessions = {one.names.suffix: one for one in sessions}

    def __iter__(self) -> Iterator[VenueSession]:
        return iter(self._sessions.values())

    @property
    def others(self) -> list[VenueSession]:
        """All but the home venue."""
        return [one for one in self if one is not self.home]

    def of(self, key: str) -> VenueSession | None:
        """The venue of a symbol or asset; None when the journal knows it from a time before it was left out."""
        return self._sessions.get(split_key(key)[1])

    def of_symbols(self, symbols: Iterable[str]) -> Iterator[tuple[VenueSession, list[str]]]:
        """Each venue that lists some of ``symbols`` now, with those."""
        wanted = list(symbols)
        for session in self:
            if listed := [symbol for symbol in wanted if symbol in session.instruments]:
                yield session, listed

    def place_of(self, symbol: str) -> str:
        """Name of the venue of ``symbol``."""
        return split_key(symbol)[1] or self.home.name

    # -- orders

    async def submit(
        self, intent: OrderIntended, deadline: int, on_left: Callable[[str, int], None]
    ) -> list[JournalEvent]:
        """See ``Venue.submit``."""
        session = self.of(intent.symbol)
        if session is None:
            return [OrderNotSent(ts=intent.ts, client_id=intent.client_id, detail=self._unknown(intent.symbol))]
        return await session.orders.submit(intent, deadline, on_left)

    async def cancel(self, symbol: str, client_id: str) -> None:
        """See ``Venue.cancel``."""
        session = self.of(symbol)
        if session is None:
            raise VenueUnreachable(self._unknown(symbol))
        await session.orders.cancel(symbol, client_id)

    def _unknown(self, symbol: str) -> str:
        return f"{self.place_of(symbol)} is no venue of this worker; list it in GEKKO_OTHER_VENUES"

    # -- market

    def newest_quote(self, symbol: str) -> Cause:
        """How the newest market event of ``symbol`` came to us."""
        session = self.of(symbol)
        return session.newest_quote(symbol) if session is not None else NO_CAUSE

    def depth(self, symbol: str, side: Side, levels: int) -> tuple[Level, ...]:
        """See ``ports.Depth``."""
        session = self.of(symbol)
        return session.feed.depth(symbol, side, levels) if session is not None and session.feed is not None else ()
