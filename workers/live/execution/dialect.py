"""How a venue is spoken with: the parts of the loop that differ from one kind of venue to another.

A dialect speaks the venue's own symbols and assets throughout; what the engine calls them is the session's business.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from workers.adapters.binance.exchange_info import MarketInfo
from workers.adapters.feeds import Handlers
from workers.adapters.venue import Venue
from workers.engine.events import Bar, JournalEvent
from workers.engine.instruments import Instrument


class AccountHooks(NamedTuple):
    """Whom the account stream tells what, and what it may ask of the books."""

    on_reports: Callable[[Sequence[JournalEvent]], None]
    on_state: Callable[[bool, str], None]
    """Hears of every connect (True) and loss (False), with the reason."""
    working: Callable[[], Mapping[str, str]]
    """Client id to symbol of every order that the venue may still change."""
    newest_trade: Callable[[str], int]
    """Number of the newest trade of a symbol that the books have, 0 for none."""


class AccountStream(Protocol):
    """Execution reports, pushed or asked for."""

    connected: bool

    async def run(self) -> None:
        """Until cancelled; raises what a hook raised."""
        ...

    def restart(self) -> None:
        """Trust nothing that is on its way; begin anew."""
        ...


class Dialect(Protocol):
    """All of one venue, once its instruments are loaded, but for ``venue``, which loads them."""

    @property
    def venue(self) -> Venue:
        """Order entry."""
        ...

    @property
    def market(self) -> MarketInfo | None:
        """What a paper venue says of the market that it plays; None at an exchange."""
        ...

    def follow(self, instruments: Sequence[Instrument], handlers: Handlers) -> Coroutine[Any, Any, None]:
        """The market of ``instruments``, until cancelled; raises what a handler raised."""
        ...

    def account(self, hooks: AccountHooks) -> AccountStream:
        """Reports on the account's orders."""
        ...

    def check_interval(self, interval_ns: int) -> str:
        """The venue's name of a bar interval; ValueError for one of which it has no history."""
        ...

    async def history(self, symbol: str, interval_ns: int, count: int) -> list[Bar]:
        """At most ``count`` newest bars, oldest first, the open one perhaps last; VenueError, ValueError."""
        ...
