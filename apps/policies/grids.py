"""Lot sizes of instruments, told by the app above that keeps them: policies know no venue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

LotsOf = Callable[[str], Mapping[str, Decimal]]
"""Lot size in the base asset by venue, of a symbol; empty where no venue lists it."""

_tellers: list[LotsOf] = []


def tell_lots(teller: LotsOf) -> None:
    """Ask ``teller`` for lot sizes from now on."""
    _tellers.append(teller)


def lots_of(symbol: str) -> dict[str, Decimal]:
    """Lot size by venue, as far as any is known."""
    return {venue: lot for teller in _tellers for venue, lot in teller(symbol).items()}
