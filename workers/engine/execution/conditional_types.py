"""Conditional orders: what is asked for, what the books hold of each, and the arithmetic of their prices. Pure.

A conditional order is held by the kernel and sends nothing until its price is seen; then it releases an ordinary order
through the whole risk gate. A plain stop on the last trade is sent at once, through the same gate, where the venue
holds such orders. It changes by journal events alone, so that a restarted worker holds what it held before.
Prices are ticks, quantities lots, times ns by our clock. ``docs/orders.md`` says what each type does on which venue.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from workers.engine.config import DAY_NS
from workers.engine.vocabulary import OrderType, Side, TimeInForce

BPS: Final = 10_000
KEPT: Final = "held by the kernel"
"""What is said of every conditional order whose price the kernel watches."""


class ConditionalKind(StrEnum):
    """``LIMIT`` waits for nothing: it is the resting leg of an OCO or bracket. ``REPLACEMENT`` waits for the end of the
    order whose place it takes.
    """

    STOP = "STOP"
    TAKE_PROFIT = "TAKE_PROFIT"
    TRAILING_STOP = "TRAILING_STOP"
    LIMIT = "LIMIT"
    REPLACEMENT = "REPLACEMENT"


class TriggerSource(StrEnum):
    """Which price a trigger is compared with: the last trade, or the touch that the order would trade at.

    The touch is the bid for a sell and the ask for a buy. Where only bars are seen, both mean the bar's extreme.
    """

    LAST_TRADE = "LAST_TRADE"
    OPPOSITE_TOUCH = "OPPOSITE_TOUCH"


class ConditionalStatus(StrEnum):
    """``ARMED`` waits for its price; ``TRIGGERED`` saw it and works through its orders; the others are final.

    ``RELEASED`` is the end of a replacement: its order is out and stands for itself.
    """

    ARMED = "ARMED"
    TRIGGERED = "TRIGGERED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    DENIED = "DENIED"
    RELEASED = "RELEASED"

    @property
    def is_live(self) -> bool:
        """True while the order may still send something."""
        return self in (ConditionalStatus.ARMED, ConditionalStatus.TRIGGERED)


class ConditionalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order that a strategy wants.

    ``price`` is the limit of the order that is released, 0 releases a market order. A trailing stop follows at
    ``trail_ticks`` or ``trail_bps`` and moves when it gains at least ``trail_step`` ticks; its ``trigger`` may be 0,
    then it starts at the first price. ``tif`` (GTC, GTD with ``expires_at``, DAY) bounds how long it is held.
    """

    symbol: str
    side: Side
    lots: int
    kind: ConditionalKind = ConditionalKind.STOP
    trigger: int = 0
    price: int = 0
    trail_ticks: int = 0
    trail_bps: int = 0
    trail_step: int = 1
    source: TriggerSource = TriggerSource.OPPOSITE_TOUCH
    reduce_only: bool = False
    post_only: bool = False
    """Only of a kind with a limit price: what is released never takes."""
    tif: TimeInForce = TimeInForce.GTC
    expires_at: int = 0
    decision: dict[str, Any] = {}
    native: bool = True
    """False keeps it in the kernel also where the venue would hold it."""


class Conditional(msgspec.Struct, kw_only=True):
    """One conditional order in the books."""

    client_id: str
    run_id: str
    symbol: str
    side: Side
    kind: ConditionalKind
    lots: int
    """0 for the leg of a bracket: it is for what its entry has filled."""
    trigger: int
    price: int
    trail_ticks: int
    trail_bps: int
    trail_step: int
    source: TriggerSource
    reduce_only: bool
    post_only: bool
    tif: TimeInForce
    expires_at: int
    group: str
    """Orders of one group exclude each other; empty for one that stands alone."""
    entry: str
    """Order, conditional order or parent whose fills it closes, or order whose place it takes; empty for none."""
    legs: int
    """Orders of the group as it was asked for."""
    session_id: int
    emulated: str
    created: int
    updated: int
    extreme: int = 0
    """Best price that a trailing stop has followed."""
    seen: int = 0
    """Price that triggered it."""
    status: ConditionalStatus = ConditionalStatus.ARMED
    detail: str = ""
    children: list[str] = []
    """Client ids of the orders that it released, oldest first."""
    denials: int = 0
    native: bool = False
    """The venue holds it; the kernel watches it only while no order of it is there."""
    """How often the gate refused what it released."""

    @property
    def live(self) -> bool:
        """True while it may still send something."""
        return self.status.is_live

    @property
    def order_type(self) -> OrderType:
        """Type of the order that it releases."""
        if not self.price:
            return OrderType.MARKET
        return OrderType.LIMIT_MAKER if self.post_only else OrderType.LIMIT

    @property
    def protects(self) -> bool:
        """True for a stop that closes a position."""
        return self.reduce_only and self.kind in (ConditionalKind.STOP, ConditionalKind.TRAILING_STOP)

    @property
    def rests(self) -> bool:
        """True when what it releases waits for no price of ours."""
        return self.kind in (ConditionalKind.LIMIT, ConditionalKind.REPLACEMENT) or self.at_venue

    @property
    def at_venue(self) -> bool:
        """True while the venue is to watch its trigger."""
        return self.native and self.status is ConditionalStatus.ARMED


class Budget(NamedTuple):
    """Lots that a group may still release, whether something of it works, and whether its entry may still fill."""

    left: int
    working: bool
    entry_open: bool
    total: int


def problem_of(request: ConditionalRequest) -> str:
    """What is contradictory or missing in ``request``; empty when nothing is."""
    if min(request.trigger, request.price, request.trail_ticks, request.trail_bps) < 0 or request.trail_step < 1:
        return "prices and offsets must not be negative, and the step at least one tick"
    if request.tif not in (TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY):
        return f"a conditional order is held GTC, GTD or DAY, not {request.tif.value}"
    offsets = (request.trail_ticks > 0) + (request.trail_bps > 0)
    if request.kind is ConditionalKind.TRAILING_STOP:
        fits = offsets == 1 and not request.price and request.trail_bps < BPS
        return "" if fits else "a trailing stop has either trail_ticks or trail_bps (below 10000), and no limit price"
    if request.post_only and not request.price:
        return "a post-only order has a limit price"
    if request.kind in (ConditionalKind.LIMIT, ConditionalKind.REPLACEMENT):
        fits = request.price > 0 and not request.trigger and not offsets
        return "" if fits else f"{request.kind.value} has a limit price, no trigger and no offset"
    fits = request.trigger > 0 and not offsets
    return "" if fits else f"{request.kind.value} needs a trigger price and has no offset"


def reached(order: Conditional, price: int) -> bool:
    """True when ``price`` is at or beyond the trigger; a trailing stop without one yet is never reached."""
    if not order.trigger:
        return False
    beyond = (price - order.trigger) * order.side
    return beyond <= 0 if order.kind is ConditionalKind.TAKE_PROFIT else beyond >= 0


def trailed(order: Conditional, price: int) -> int:
    """Trigger of a trailing stop that follows ``price``; the offset in bps is rounded down, to one tick at least."""
    offset = order.trail_ticks or max(price * order.trail_bps // BPS, 1)
    return max(price + offset * order.side, 1)


def ratchet(order: Conditional, price: int) -> int:
    """The trigger after ``price``, or 0 when it stays: it only ever moves towards the market, by a whole step."""
    trigger = trailed(order, price)
    if not order.trigger:
        return trigger
    return trigger if (order.trigger - trigger) * order.side >= order.trail_step else 0


def expiry_of(tif: TimeInForce, expires_at: int, *, now: int, closes_at: int) -> int:
    """When an order of this time in force ends: a day order with the session, or at 00:00 UTC; 0 for never."""
    if tif is TimeInForce.DAY:
        midnight = (now // DAY_NS + 1) * DAY_NS
        return min(midnight, closes_at) if closes_at > now else midnight
    return expires_at if tif is TimeInForce.GTD else 0
