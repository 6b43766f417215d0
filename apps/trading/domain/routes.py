"""Routing decisions of the journal as rows, and what each says in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from apps.core.money import plain
from apps.trading.domain.states import ZERO, at
from workers.engine import events as ev
from workers.engine.execution.routing.alone import cost_alone
from workers.engine.execution.routing.router import RouteDecision, RouteKind
from workers.engine.instruments import ATOMS_PER_UNIT, Instrument, from_atoms, from_money, split_key
from workers.engine.vocabulary import Side

if TYPE_CHECKING:
    from apps.trading.domain.projection import Books

CENT: Final = Decimal("0.00000001")


@dataclass(slots=True)
class RouteState:
    """One decision; field for field the row that the projection writes."""

    parent_id: str
    number: int
    at: datetime
    kind: str
    quantity: Decimal
    unrouted: Decimal
    mid: Decimal | None
    decision: dict[str, Any]
    left_out: dict[str, str]
    seq: int


def on_routed(books: Books, event: ev.RouteDecided) -> None:
    """A decision was made; what it looked at is kept with it."""
    parent, decision = books.parents.get(event.parent_id), event.decision
    if parent is None:
        return
    mid = books.instrument(parent.symbol).price(event.mid) if event.mid else None
    parent.begun_price = parent.begun_price or mid
    parent.touch(books.seq, event.ts)
    books.changed_parents[event.parent_id] = None
    books.routes.append(
        RouteState(
            parent_id=event.parent_id,
            number=event.number,
            at=at(event.ts),
            kind=decision.kind.value,
            quantity=from_atoms(decision.inputs.request.atoms),
            unrouted=from_atoms(decision.unrouted),
            mid=mid,
            decision=msgspec.to_builtins(decision),
            left_out=event.left_out,
            seq=books.seq,
        )
    )


def decision_of(stored: Mapping[str, Any]) -> RouteDecision:
    """The engine's own decision from a row; msgspec.ValidationError when it is none."""
    return msgspec.convert(stored, RouteDecision)


@dataclass(frozen=True, slots=True)
class Took:
    """What the children of a decision did at one instrument; amounts in base and quote."""

    symbol: str
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    fees: Decimal = ZERO


@dataclass(slots=True)
class Split:
    """What a parent did by venue."""

    venues: dict[str, Took] = field(default_factory=dict)

    def add(self, took: Took) -> None:
        """Add what a child did."""
        held = self.venues.get(took.symbol, Took(took.symbol))
        self.venues[took.symbol] = Took(
            took.symbol, held.filled + took.filled, held.notional + took.notional, held.fees + took.fees
        )

    @property
    def filled(self) -> Decimal:
        return sum((took.filled for took in self.venues.values()), ZERO)


def saving(decision: RouteDecision, home: str, took: list[Took]) -> Decimal | None:
    """Quote saved by what was filled against ``home``'s book alone at the moment of the decision; below 0 it cost more.

    None when nothing was filled, or home's book was not among the inputs or showed too little.
    """
    filled = sum((one.filled for one in took), ZERO)
    alone = cost_alone(decision.inputs, home, int(filled * ATOMS_PER_UNIT))
    if alone is None:
        return None
    sign = int(decision.inputs.request.side)
    paid = sum((one.notional + sign * one.fees for one in took), ZERO)
    return sign * (from_money(alone) - paid)


def expected_price(decision: RouteDecision) -> Decimal | None:
    """Effective price per unit that the lit legs are expected to pay or bring, risk included; None for a ping."""
    placed = decision.inputs.request.atoms - decision.unrouted
    if decision.kind is not RouteKind.SWEEP or not placed:
        return None
    return abs(from_money(decision.cost) / 10**9 / from_atoms(placed)).quantize(CENT)


def in_words(decision: RouteDecision, left_out: Mapping[str, str], items: Mapping[str, Instrument]) -> str:
    """One sentence or two on what was decided, and why what is missing is missing."""
    verb = "Buy" if decision.inputs.request.side is Side.BUY else "Sell"
    parts = []
    for leg in decision.legs:
        item = items[leg.symbol]
        least = f", {plain(item.quantity(leg.min_lots))} at least" if leg.min_lots else ""
        price = plain(item.price(leg.price))
        bound = "at most" if verb == "Buy" else "at least"
        parts.append(f"{plain(item.quantity(leg.lots))} at {place_of(item)}, {bound} {price}{least}")
    said = [f"{'Ask the dark venue first: ' if decision.kind is RouteKind.PING else ''}{verb} {'; '.join(parts)}."]
    if decision.reason:
        said.append(f"{decision.reason[:1].upper()}{decision.reason[1:]}.")
    said += [f"{split_key(symbol)[1] or 'Home'} left out: {why}." for symbol, why in sorted(left_out.items())]
    return " ".join(said)


def place_of(item: Instrument) -> str:
    """The venue of an instrument, by name."""
    return split_key(item.symbol)[1] or item.venue
