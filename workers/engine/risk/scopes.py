"""What a limit, a halt, an override or a cancellation is about: the firm, a desk, a strategy, a venue, an instrument.

Written ``firm`` or ``kind:name``, such as ``strategy:ema_cross``, ``venue:beta`` or ``instrument:BTCUSDT@beta``. Which
strategies make up a desk is part of the published limits. Pure; ``apps`` may import it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from workers.engine.vocabulary import Reason, Side

NAME_LENGTH: Final = 64


class ScopeError(ValueError):
    """A scope that cannot be read; the message says what was expected."""


class ScopeKind(StrEnum):
    FIRM = "firm"
    ACCOUNT = "account"
    DESK = "desk"
    STRATEGY = "strategy"
    VENUE = "venue"
    INSTRUMENT = "instrument"


class Scope(NamedTuple):
    """``name`` is empty for the firm and the account."""

    kind: ScopeKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}" if self.name else self.kind.value


NAMELESS: Final = frozenset({ScopeKind.FIRM, ScopeKind.ACCOUNT})
HALTABLE: Final = frozenset({ScopeKind.FIRM, ScopeKind.DESK, ScopeKind.STRATEGY, ScopeKind.VENUE, ScopeKind.INSTRUMENT})
HALT_REASONS: Final[dict[ScopeKind, Reason]] = {
    ScopeKind.FIRM: Reason.FIRM_HALTED,
    ScopeKind.DESK: Reason.DESK_HALTED,
    ScopeKind.STRATEGY: Reason.STRATEGY_HALTED,
    ScopeKind.VENUE: Reason.VENUE_HALTED,
    ScopeKind.INSTRUMENT: Reason.INSTRUMENT_HALTED,
}
ACCOUNT: Final = "account"
"""Scope of the limits that stand at the top of the published limits: they bound the whole account."""


def parse_scope(text: str, kinds: Collection[ScopeKind] = tuple(ScopeKind)) -> Scope:
    """``text`` as a scope of one of ``kinds``; ScopeError says what was expected."""
    word, _, name = text.partition(":")
    allowed = ", ".join(
        kind.value if kind in NAMELESS else f"{kind.value}:<name>" for kind in ScopeKind if kind in kinds
    )
    if word not in {kind.value for kind in kinds}:
        raise ScopeError(f"expected one of {allowed}, was {text!r}")
    kind = ScopeKind(word)
    if kind in NAMELESS:
        if ":" in text:
            raise ScopeError(f"expected {word} without a name, was {text!r}")
        return Scope(kind, "")
    if not name or len(name) > NAME_LENGTH or not all(c.isalnum() or c in "_-./@" for c in name):
        raise ScopeError(f"expected {word}:<name> of letters, digits, _ - . / or @, was {text!r}")
    return Scope(kind, name)


class Place(NamedTuple):
    """Where an order belongs."""

    strategy: str
    desks: frozenset[str]
    venue: str
    symbol: str


def covers(scope: Scope, place: Place) -> bool:
    """True when an order of ``place`` belongs to ``scope``."""
    kind, name = scope
    if kind in NAMELESS:
        return True
    if kind is ScopeKind.STRATEGY:
        return name == place.strategy
    if kind is ScopeKind.DESK:
        return name in place.desks
    return name == (place.venue if kind is ScopeKind.VENUE else place.symbol)


def desks_of(strategy: str, desks: Mapping[str, Collection[str]]) -> frozenset[str]:
    """The desks that ``strategy`` belongs to."""
    return frozenset(desk for desk, members in desks.items() if strategy in members)


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which open orders a cancellation takes; what is empty takes all of its sort."""

    scope: str = "firm"
    symbol: str = ""
    strategy: str = ""
    side: Side | None = None
    client_id: str = ""

    def takes(self, place: Place, side: Side, client_id: str = "") -> bool:
        """True when an order of ``place`` and ``side`` is to be cancelled; ScopeError for a scope that is none."""
        if self.client_id and client_id != self.client_id:
            return False
        if self.side is not None and side is not self.side:
            return False
        if (self.symbol and self.symbol != place.symbol) or (self.strategy and self.strategy != place.strategy):
            return False
        return covers(parse_scope(self.scope), place)

    def words(self) -> str:
        """For the reason of each cancellation, such as ``BUY orders of strategy:ema_cross, BTCUSDT``."""
        side = f"{self.side.name} orders" if self.side is not None else "orders"
        narrow = [part for part in (self.strategy and f"strategy {self.strategy}", self.symbol, self.client_id) if part]
        return f"{side} of {', '.join([self.scope, *narrow])}"
