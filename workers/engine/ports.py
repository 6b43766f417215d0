"""What the kernel asks of its host.

The kernel performs no input or output. Each of its inputs answers with a list of effects, to be carried out **in
order**. A ``Journal`` effect must be durable before any ``Send`` or ``Cancel`` that follows it is carried out: an order
on the wire that no journal knows of cannot be found again after a crash.

A host is the live execution worker (websockets, REST, a file) or a backtest (a simulated venue, a list); the kernel
does not know which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from workers.engine.events import JournalEvent, Level, OrderIntended
from workers.engine.vocabulary import Side


class Journal(msgspec.Struct, frozen=True, gc=False):
    """Append ``event`` to the execution journal; the kernel's own books already have it."""

    event: JournalEvent


class Send(msgspec.Struct, frozen=True, gc=False):
    """Send the order to the venue, then report ``OrderSent``.

    After ``deadline`` (our clock, ns) it must not leave any more: report ``OrderNotSent`` instead. A process that was
    paused between deciding and sending would otherwise trade on what it knew before the pause.
    """

    intent: OrderIntended
    deadline: int


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """Ask the venue to cancel the order; a ``CancelRequested`` has been journalled before."""

    client_id: str
    symbol: str
    venue_order_id: str
    reason: str


class RequestForecast(msgspec.Struct, frozen=True, gc=False):
    """Bars that end at ``as_of`` have closed: forecast all these instruments in one batch.

    ``closes`` maps a symbol to its closes in the quote asset, oldest first, as long as the strategy's input.
    """

    as_of: int
    interval_ns: int
    model_digest: str
    closes: dict[str, tuple[float, ...]]


class Resync(msgspec.Struct, frozen=True, gc=False):
    """The process was paused: reconnect and resynchronise every feed, then reconcile with the venue.

    Until fresh ``FeedStatus`` (LIVE) and ``ReconciliationDone`` have come, the gate refuses every order.
    """

    paused_ns: int


Effect = Journal | Send | Cancel | RequestForecast | Resync
Effects = Sequence[Effect]


class Clock(Protocol):
    """A clock in ns; wall clocks count from 1970-01-01 UTC, stage clocks from anywhere."""

    def __call__(self) -> int: ...


class Depth(Protocol):
    """What rests in the book of an instrument now, as far as the host knows it. Must not block."""

    def __call__(self, symbol: str, side: Side, levels: int) -> tuple[Level, ...]:
        """At most ``levels`` levels of ``side`` (BUY: bids), best first; ``()`` while no book is in sync."""
        ...
