"""The port to a venue: what every order adapter does, tells and raises.

Quantities are lots, prices ticks, balances atoms, as in the engine. What a venue can do and by which rules it plays is
data, ``workers.engine.market.venues``; an adapter carries its rules as ``rules``.

**Errors** mean one of three things, and nothing else decides what happens next:

* ``REJECTED``: the venue has refused, nothing happened, and the same request will be refused again.
* ``RETRYABLE``: nothing happened; the same request may succeed later.
* ``UNKNOWN``: it left, and nobody knows what became of it. Never taken for a refusal: only a query ends the doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from enum import StrEnum
from functools import wraps
from typing import Any, ClassVar, ParamSpec, Protocol, TypeVar

import msgspec

from workers.engine.events import JournalEvent, OrderIntended
from workers.engine.instruments import GridError, Instrument
from workers.engine.market.venues import VenueRules
from workers.engine.vocabulary import OrderStatus, Side, TimeInForce

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class Outcome(StrEnum):
    """What is known about a request that failed."""

    REJECTED = "REJECTED"
    RETRYABLE = "RETRYABLE"
    UNKNOWN = "UNKNOWN"


class VenueError(Exception):
    """Base of what a venue's answer, or its absence, can mean."""

    outcome: ClassVar[Outcome] = Outcome.UNKNOWN


class VenueRejected(VenueError):
    """The venue has refused and nothing happened. ``code`` is the venue's own."""

    outcome = Outcome.REJECTED

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class VenueBusy(VenueError):
    """Nothing happened; the venue wants to be left alone for ``retry_after`` seconds."""

    outcome = Outcome.RETRYABLE

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class VenueUnreachable(VenueError):
    """No connection could be made: nothing left this machine."""

    outcome = Outcome.RETRYABLE


class VenueUnknown(VenueError):
    """It left, and nobody knows what became of it: timeout, cut connection, 5xx, or a duplicate client id."""

    outcome = Outcome.UNKNOWN


class OrderUnsure(VenueUnknown):
    """The venue answers, and its answers do not show whether it has the order."""


class OrderNotFound(VenueError):
    """The venue does not know the order; ``since`` (ns): it was looked for only among those made since then."""

    outcome = Outcome.REJECTED

    def __init__(self, message: str, since: int = 0) -> None:
        super().__init__(message)
        self.since = since


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order as the venue has it."""

    client_id: str
    venue_order_id: str
    symbol: str
    side: Side
    status: OrderStatus
    lots: int
    filled: int


class VenueTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One execution as the venue has it; ``fee`` in atoms of ``fee_asset``."""

    trade_id: int
    venue_order_id: str
    symbol: str
    side: Side
    lots: int
    price: int
    fee: int
    fee_asset: str
    maker: bool
    ts_event: int


OnLeft = Callable[[str, int], None]
"""Called with the client id and the ``perf_counter`` ns at which the order's bytes went to the operating system."""


class Venue(Protocol):
    """One account at one venue. All methods belong to the event loop that called ``open``.

    Every method but ``submit`` raises VenueError; ``submit`` answers with events, whatever happens.
    """

    name: str
    instruments: dict[str, Instrument]

    @property
    def rules(self) -> VenueRules:
        """What the venue can do, and by which rules."""
        ...

    async def open(self) -> None:
        """Make the connection pool; nothing is sent yet."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...

    async def synchronise_clock(self) -> int:
        """Measure the venue's clock against ours; the offset in ms."""
        ...

    async def load_instruments(self, symbols: Sequence[str]) -> Mapping[str, Instrument]:
        """Filters and fees of ``symbols`` (all, when empty)."""
        ...

    async def submit(self, intent: OrderIntended, deadline: int, on_left: OnLeft) -> list[JournalEvent]:
        """Send one order and say what became of it; nothing leaves after ``deadline`` (ns, our clock)."""
        ...

    async def cancel(self, symbol: str, client_id: str) -> None:
        """Ask for a cancel; OrderNotFound when there is nothing to cancel."""
        ...

    async def query(self, symbol: str, client_id: str) -> VenueOrder:
        """The order as the venue has it; OrderNotFound when it does not know it."""
        ...

    async def client_id_of(self, symbol: str, venue_order_id: str) -> str:
        """Client id of the order that the venue numbered so; empty when it does not know it any more."""
        ...

    async def open_orders(self) -> list[VenueOrder]:
        """Every open order of the account in our instruments."""
        ...

    async def trades(self, symbol: str, after: int) -> list[VenueTrade]:
        """All our trades with a number above ``after``, oldest first."""
        ...

    async def balances(self) -> dict[str, int]:
        """Atoms of every asset that the account holds or our instruments name."""
        ...


def readable(
    method: Callable[Given, Coroutine[Any, Any, Answer]],
) -> Callable[Given, Coroutine[Any, Any, Answer]]:
    """A method of an adapter that raises nothing but VenueError: an answer that cannot be read tells nothing."""

    @wraps(method)
    async def reading(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        try:
            return await method(*args, **kwargs)
        except (msgspec.DecodeError, GridError, KeyError, ArithmeticError, ValueError, TypeError) as error:
            raise VenueUnknown(f"unreadable answer: {type(error).__name__}: {error}") from error

    return reading


def wire_tif(tif: TimeInForce) -> TimeInForce:
    """What goes out: orders that end by the clock are ended by ours, at every venue alike, and leave as GTC."""
    return TimeInForce.GTC if tif in (TimeInForce.GTD, TimeInForce.DAY) else tif
