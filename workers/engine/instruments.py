"""Instruments and exact conversions between a venue's decimals and the engine's integers.

Units, everywhere in the engine:

* price: integer **ticks** of ``Instrument.tick``
* order quantity: integer **lots** of ``Instrument.lot``
* balance or position: integer **atoms**, 10**-8 of the asset
* money in the quote asset: integer **money units**, 10**-``MONEY_DECIMALS`` of the quote asset

With these, ``ticks * atoms * value_factor`` is a notional in money units with no rounding at all.
"""

from __future__ import annotations

from decimal import Context, Decimal
from functools import cached_property
from typing import Final

import msgspec

ATOM_DECIMALS: Final = 8
ATOMS_PER_UNIT: Final = 10**ATOM_DECIMALS
MONEY_DECIMALS: Final = 16
MONEY_PER_UNIT: Final = 10**MONEY_DECIMALS
MONEY_PER_ATOM: Final = 10 ** (MONEY_DECIMALS - ATOM_DECIMALS)


VENUE_MARK: Final = "@"
_WIDE: Final = Context(prec=120)
"""Room for quotients of amounts that nobody has bounded yet: none is rounded onto the grid unseen."""
"""Between a name and its venue in the engine's keys; the home venue's names stand alone."""


class GridError(ValueError):
    """A price or quantity that does not lie on the instrument's grid, or is not finite."""


class KeyNameError(ValueError):
    """A symbol, asset or venue name that cannot be part of a key, because the key could not be read back."""


def at_venue(name: str, venue: str, home: str) -> str:
    """Key of the symbol or asset ``name`` of ``venue``: the name itself at ``home`` (or ``""``), else ``name@venue``.

    KeyNameError when the name is empty, or name or venue holds an ``@``: ``split_key`` could not take them apart.
    """
    if not name or VENUE_MARK in name or VENUE_MARK in venue:
        raise KeyNameError(f"expected a name and a venue without {VENUE_MARK!r}, was {name!r} of {venue!r}; rename it")
    return name if venue in ("", home) else f"{name}{VENUE_MARK}{venue}"


def split_key(key: str) -> tuple[str, str]:
    """(name, venue) of a key; the venue is empty for the home venue's. KeyNameError when either part is missing."""
    name, mark, venue = key.partition(VENUE_MARK)
    if not name or (mark and not venue) or VENUE_MARK in venue:
        raise KeyNameError(f"expected name or name{VENUE_MARK}venue, was {key!r}")
    return name, venue


def exact_int(value: Decimal, what: str) -> int:
    """Return ``value`` as an int; raise GridError naming ``what`` unless it is exactly integral."""
    if not value.is_finite():
        raise GridError(f"expected finite {what}, was {value}")
    whole = int(value)
    if whole != value:
        raise GridError(f"expected whole {what}, was {value}")
    return whole


class Instrument(msgspec.Struct, frozen=True, dict=True, kw_only=True):
    """One tradable pair on one venue, with the venue's filters.

    ``symbol`` is the engine's key, unique in an account: the venue's own symbol at the home venue, ``native@venue``
    elsewhere (see ``at_venue``). ``base`` and ``quote`` are bare assets at every venue.
    ``min_lots``/``max_lots`` are lots per order; ``min_notional`` is in the quote asset;
    fees are fractions of notional (0.001 is 10 bps).
    """

    venue: str
    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_lots: int
    max_lots: int
    min_notional: Decimal
    maker_fee: Decimal
    taker_fee: Decimal

    def __post_init__(self) -> None:
        if not (self.tick > 0 and self.lot > 0):
            raise GridError(f"expected positive tick and lot, was {self.tick} and {self.lot} ({self.symbol})")
        exact_int(self.lot * ATOMS_PER_UNIT, f"atoms per lot ({self.symbol})")
        exact_int(self.tick * MONEY_PER_ATOM, f"money units per tick and atom ({self.symbol})")

    @cached_property
    def native(self) -> str:
        """The symbol as the venue itself writes it."""
        return self.symbol.partition(VENUE_MARK)[0]

    @cached_property
    def base_key(self) -> str:
        """The base asset as a key of balances: bare at the home venue, ``base@venue`` elsewhere."""
        return self.base + self.symbol[len(self.native) :]

    @cached_property
    def quote_key(self) -> str:
        """The quote asset as a key of balances."""
        return self.quote + self.symbol[len(self.native) :]

    @cached_property
    def lot_atoms(self) -> int:
        """Atoms of the base asset in one lot."""
        return int(self.lot * ATOMS_PER_UNIT)

    @cached_property
    def value_factor(self) -> int:
        """Money units per tick and atom: ``ticks * atoms * value_factor`` is a notional."""
        return int(self.tick * MONEY_PER_ATOM)

    @cached_property
    def lot_value(self) -> int:
        """Money units per tick and lot: ``ticks * lots * lot_value`` is a notional."""
        return self.lot_atoms * self.value_factor

    @cached_property
    def min_notional_money(self) -> int:
        """The venue's minimum notional, in money units."""
        return int(self.min_notional * MONEY_PER_UNIT)

    def ticks(self, price: Decimal | str) -> int:
        """Price as ticks; GridError when it is off the grid."""
        return exact_int(_WIDE.divide(Decimal(price), self.tick), f"ticks in price {price} ({self.symbol})")

    def lots(self, quantity: Decimal | str) -> int:
        """Quantity as lots; GridError when it is off the grid."""
        return exact_int(_WIDE.divide(Decimal(quantity), self.lot), f"lots in quantity {quantity} ({self.symbol})")

    def price(self, ticks: int) -> Decimal:
        """Ticks as a price in the quote asset."""
        return ticks * self.tick

    def quantity(self, lots: int) -> Decimal:
        """Lots as a quantity in the base asset."""
        return lots * self.lot


def atoms(amount: Decimal | str, asset: str) -> int:
    """Amount of ``asset`` as atoms; GridError beyond eight decimals."""
    return exact_int(Decimal(amount) * ATOMS_PER_UNIT, f"atoms in {amount} {asset}")


def from_atoms(count: int) -> Decimal:
    """Atoms as an amount of the asset."""
    return Decimal(count).scaleb(-ATOM_DECIMALS)


def money(amount: Decimal | str, asset: str) -> int:
    """Amount of the quote ``asset`` as money units; GridError beyond sixteen decimals."""
    return exact_int(Decimal(amount) * MONEY_PER_UNIT, f"money units in {amount} {asset}")


def from_money(units: int) -> Decimal:
    """Money units as an amount of the quote asset."""
    return Decimal(units).scaleb(-MONEY_DECIMALS)
