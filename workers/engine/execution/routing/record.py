"""What each venue did with our orders so far: how fast it answered, how often it refused, how often a ping met anybody.

Made from the journal alone, event by event, so that a restarted worker knows what the one before it knew. Also here:
which venue a parent leaves out for a while, because its last leg there came to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec

from workers.engine import events as e
from workers.engine.accounting.books import Books
from workers.engine.config import SECOND_NS
from workers.engine.execution.orders import Order

FIRST_COOLING_NS: Final = SECOND_NS // 2
LONGEST_COOLING_NS: Final = 16 * SECOND_NS
"""Each setback in a row makes a parent leave the venue out for twice as long, up to this."""
PRIOR_ROUND_TRIP_NS: Final = SECOND_NS / 10
"""Time until an answer that is assumed of a venue which has not answered yet."""
WEIGHT: Final = 0.1
"""What the newest answer counts against all before it."""
PRIOR_ORDERS: Final = 20.0
PRIOR_REJECTS: Final = 0.2
PRIOR_PINGS: Final = 4.0
PRIOR_HITS: Final = 1.0
"""What is assumed before there is a record, as so many orders and pings that were."""
MEMORY: Final = 0.99
"""What is left of an older order's or ping's weight with each newer one."""


class VenueRecord(msgspec.Struct):
    """One venue. Counts fade, so that what was long ago does not decide for ever."""

    round_trip_ns: float = PRIOR_ROUND_TRIP_NS
    orders: float = 0.0
    rejects: float = 0.0
    pings: float = 0.0
    hits: float = 0.0

    @property
    def latency_ns(self) -> int:
        """Half a round trip: the time until an order arrives."""
        return int(self.round_trip_ns / 2)

    @property
    def reject_probability(self) -> float:
        """Chance that the venue refuses an order."""
        return (self.rejects + PRIOR_REJECTS) / (self.orders + PRIOR_ORDERS)

    @property
    def hit_probability(self) -> float:
        """Chance that a ping meets at least its smallest part."""
        return (self.hits + PRIOR_HITS) / (self.pings + PRIOR_PINGS)


class RouteState(msgspec.Struct):
    """All of a ``RouteRecord``."""

    venues: dict[str, VenueRecord]
    asked: dict[str, int]
    cooling: dict[str, dict[str, tuple[int, int]]]


class RouteRecord:
    """One per desk. ``apply`` takes every journal event behind the books, in a live session and after a restart."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._venues: dict[str, VenueRecord] = {}
        self._asked: dict[str, int] = {}
        """When the orders left that were not answered yet, by client id."""
        self._cooling: dict[str, dict[str, tuple[int, int]]] = {}
        """By parent and symbol: until when it is left out, and setbacks in a row."""

    def venue(self, name: str) -> VenueRecord:
        """What is known of the venue."""
        return self._venues.get(name) or VenueRecord()

    def cools_until(self, parent_id: str, symbol: str) -> int:
        """Until when the parent leaves the instrument out, ns by our clock; 0 for not at all."""
        return self._cooling.get(parent_id, {}).get(symbol, (0, 0))[0]

    def apply(self, event: e.JournalEvent) -> None:
        """Take an event that the books have taken already."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(self, event)

    def snapshot(self) -> dict[str, Any]:
        """Everything that the journal determines, in plain types: equal for equal records."""
        venues = {name: msgspec.to_builtins(record) for name, record in sorted(self._venues.items())}
        return {"venues": venues, "asked": dict(sorted(self._asked.items())), "cooling": self._cooling}

    def state(self) -> RouteState:
        """Everything, in the order in which it came."""
        return RouteState(venues=self._venues, asked=self._asked, cooling=self._cooling)

    def restore(self, state: RouteState) -> None:
        """Go on from ``state``."""
        self._venues, self._asked, self._cooling = state.venues, state.asked, state.cooling

    # -- inside

    def _of(self, order: Order) -> VenueRecord:
        return self._venues.setdefault(self._books.lines[order.symbol].venue, VenueRecord())

    def _cool(self, parent_id: str, symbol: str, ts: int) -> None:
        if parent_id in self._books.working:
            cooling = self._cooling.setdefault(parent_id, {})
            setbacks = cooling.get(symbol, (0, 0))[1]
            cooling[symbol] = (ts + min(FIRST_COOLING_NS << min(setbacks, 16), LONGEST_COOLING_NS), setbacks + 1)

    def _sent(self, event: e.OrderSent) -> None:
        order = self._books.orders.get(event.client_id)
        if order is not None and order.open and event.client_id not in self._asked:
            self._asked[event.client_id] = event.ts
            record = self._of(order)
            record.orders, record.rejects = record.orders * MEMORY + 1.0, record.rejects * MEMORY

    def _answered(self, event: e.OrderAccepted | e.OrderRejected | e.OrderFilled | e.OrderEnded) -> Order | None:
        order, left = self._books.orders.get(event.client_id), self._asked.pop(event.client_id, 0)
        if order is not None and left:
            record = self._of(order)
            record.round_trip_ns += WEIGHT * (max(event.ts - left, 0) - record.round_trip_ns)
        return order

    def _accepted(self, event: e.OrderAccepted) -> None:
        self._answered(event)

    def _rejected(self, event: e.OrderRejected) -> None:
        order = self._answered(event)
        if order is not None:
            self._of(order).rejects += 1.0
            if order.route:
                self._cool(order.parent_id, order.symbol, event.ts)

    def _filled(self, event: e.OrderFilled) -> None:
        order = self._answered(event)
        if order is not None and order.route and not order.remaining:
            self._cooling.get(order.parent_id, {}).pop(order.symbol, None)
            self._pinged(order, hit=True)

    def _ended(self, event: e.OrderEnded) -> None:
        order = self._answered(event)
        if order is not None and order.route and order.remaining:
            self._pinged(order, hit=bool(order.filled))
            if not order.cancel_requested:
                if order.filled:
                    self._cooling.get(order.parent_id, {}).pop(order.symbol, None)
                self._cool(order.parent_id, order.symbol, event.ts)

    def _pinged(self, order: Order, *, hit: bool) -> None:
        if order.min_lots:
            record = self._of(order)
            record.pings, record.hits = record.pings * MEMORY + 1.0, record.hits * MEMORY + hit

    def _unknown(self, event: e.OrderUnknown) -> None:
        self._asked.pop(event.client_id, None)

    def _not_sent(self, event: e.OrderNotSent) -> None:
        self._asked.pop(event.client_id, None)
        order = self._books.orders.get(event.client_id)
        if order is not None and order.route and not order.open:
            self._cool(order.parent_id, order.symbol, event.ts)

    def _denied(self, event: e.OrderDenied) -> None:
        if event.route:
            self._cool(event.parent_id, event.symbol, event.ts)

    def _over(self, event: e.ParentEnded) -> None:
        self._cooling.pop(event.parent_id, None)

    _handlers: ClassVar[dict[type, Callable[[RouteRecord, Any], None]]] = {
        e.OrderSent: _sent,
        e.OrderAccepted: _accepted,
        e.OrderRejected: _rejected,
        e.OrderFilled: _filled,
        e.OrderEnded: _ended,
        e.OrderUnknown: _unknown,
        e.OrderNotSent: _not_sent,
        e.OrderDenied: _denied,
        e.ParentEnded: _over,
    }
