"""Conditional orders in the books: what journal events make of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from workers.engine import events as e
from workers.engine.execution.conditional_types import Conditional, ConditionalKind, ConditionalStatus

if TYPE_CHECKING:
    from workers.engine.accounting.books import Books


class ConditionalState(msgspec.Struct):
    """All of a ``ConditionalBook``; ``live`` and ``groups`` list client ids."""

    all: list[Conditional]
    live: dict[str, list[str]]
    groups: dict[str, list[str]]


class ConditionalBook:
    """Every conditional order by id, and those that may still send something by instrument, oldest first."""

    __slots__ = ("_groups", "all", "live")

    def __init__(self) -> None:
        self.all: dict[str, Conditional] = {}
        self.live: dict[str, dict[str, Conditional]] = {}
        self._groups: dict[str, list[Conditional]] = {}

    def of(self, symbol: str) -> dict[str, Conditional]:
        """Live ones of ``symbol``; the same object for ever, so that it can be kept."""
        return self.live.setdefault(symbol, {})

    def group(self, order: Conditional) -> list[Conditional]:
        """The orders that exclude each other with ``order``, itself included, live or over."""
        return self._groups[order.group] if order.group else [order]

    def count(self) -> int:
        """How many are live."""
        return sum(len(held) for held in self.live.values())

    def snapshot(self) -> dict[str, Any]:
        """Plain values in a fixed order."""
        return {
            "all": {key: msgspec.to_builtins(order) for key, order in sorted(self.all.items())},
            "live": {symbol: list(held) for symbol, held in sorted(self.live.items()) if held},
        }

    def state(self) -> ConditionalState:
        """Everything, in the order in which it is walked."""
        return ConditionalState(
            all=list(self.all.values()),
            live={symbol: list(held) for symbol, held in self.live.items()},
            groups={group: [order.client_id for order in orders] for group, orders in self._groups.items()},
        )

    # -- changing

    def restore(self, state: ConditionalState) -> None:
        """Hold what ``state`` says; only on an empty book."""
        self.all = {order.client_id: order for order in state.all}
        self.live = {symbol: {name: self.all[name] for name in names} for symbol, names in state.live.items()}
        self._groups = {group: [self.all[name] for name in names] for group, names in state.groups.items()}

    def accepted(self, event: e.ConditionalAccepted) -> None:
        """A new one is held."""
        order = Conditional(
            client_id=event.client_id,
            run_id=event.run_id,
            symbol=event.symbol,
            side=event.side,
            kind=event.kind,
            lots=event.lots,
            trigger=event.trigger,
            price=event.price,
            trail_ticks=event.trail_ticks,
            trail_bps=event.trail_bps,
            trail_step=event.trail_step,
            source=event.source,
            reduce_only=event.reduce_only,
            tif=event.tif,
            expires_at=event.expires_at,
            group=event.group,
            entry=event.entry,
            legs=event.legs,
            post_only=event.post_only,
            native=event.native,
            session_id=event.session_id,
            emulated=event.emulated,
            created=event.ts,
            updated=event.ts,
        )
        self.all[order.client_id] = order
        self.of(order.symbol)[order.client_id] = order
        if order.group:
            self._groups.setdefault(order.group, []).append(order)

    def moved(self, event: e.ConditionalMoved) -> None:
        """A trailing stop followed the market, or an order went on into a new session."""
        order = self.all.get(event.client_id)
        if order is not None:
            order.trigger, order.extreme, order.session_id = event.trigger, event.extreme, event.session_id
            order.updated = event.ts

    def kept(self, event: e.ConditionalKept) -> None:
        """The venue did not want it."""
        order = self.all.get(event.client_id)
        if order is not None and order.live:
            order.native, order.emulated, order.updated = False, event.emulated, event.ts

    def triggered(self, event: e.ConditionalTriggered) -> None:
        """Its price was seen."""
        order = self.all.get(event.client_id)
        if order is not None and order.live:
            order.status, order.seen, order.updated = ConditionalStatus.TRIGGERED, event.price, event.ts

    def ended(self, event: e.ConditionalEnded) -> None:
        """It sends nothing more."""
        order = self.all.get(event.client_id)
        if order is not None and order.live:
            order.status, order.detail, order.updated = event.status, event.detail, event.ts
            self.of(order.symbol).pop(order.client_id, None)

    def intended(self, event: e.OrderIntended) -> None:
        """An order was released."""
        order = self.all.get(event.conditional_id) if event.conditional_id else None
        if order is not None:
            order.children.append(event.client_id)
            order.updated = event.ts

    def replacement_of(self, client_id: str, symbol: str) -> Conditional | None:
        """What waits for the end of the order ``client_id``, if anything does."""
        held = self.live.get(symbol, {}).values()
        return next((o for o in held if o.kind is ConditionalKind.REPLACEMENT and o.entry == client_id), None)

    def denied(self, event: e.OrderDenied) -> None:
        """The gate refused what was released."""
        order = self.all.get(event.conditional_id) if event.conditional_id else None
        if order is not None:
            order.denials += 1
            order.detail = "denied: " + ", ".join(reason.value for reason in event.reasons)
            order.updated = event.ts


Event = e.ConditionalAccepted | e.ConditionalKept | e.ConditionalMoved | e.ConditionalTriggered | e.ConditionalEnded
EVENTS: Final = get_args(Event)


def on_event(books: Books, event: Event) -> tuple[()]:
    """Handler of the books; touches no line."""
    held = books.conditionals
    if isinstance(event, e.ConditionalAccepted):
        books.decisions += 1
        held.accepted(event)
    elif isinstance(event, e.ConditionalKept):
        held.kept(event)
    elif isinstance(event, e.ConditionalMoved):
        held.moved(event)
    elif isinstance(event, e.ConditionalTriggered):
        held.triggered(event)
    else:
        held.ended(event)
    return ()
