"""Grids of stored data: integers of a tick and a lot that stand beside them, so that no price is ever a float."""

from __future__ import annotations

from decimal import Decimal
from math import gcd
from typing import NamedTuple

from workers.engine.instruments import GridError, exact_int

MAX_INT64 = 2**63 - 1
MAX_DECIMALS = 8


class Grid(NamedTuple):
    """Size of a price step and of a quantity step."""

    tick: Decimal
    lot: Decimal

    def checked(self) -> Grid:
        """Itself; GridError unless both are positive and have at most eight decimals, as the engine needs."""
        for what, unit in (("tick", self.tick), ("lot", self.lot)):
            if not unit.is_finite() or unit <= 0:
                raise GridError(f"expected positive {what}, was {unit}")
            exact_int(unit.scaleb(MAX_DECIMALS), f"units of 1e-8 in a {what} of {unit}")
        return self


def common_unit(one: Decimal, other: Decimal) -> Decimal:
    """The coarsest unit of which both are whole multiples."""
    (a, b), (c, d) = one.as_integer_ratio(), other.as_integer_ratio()
    return Decimal(gcd(a * d, c * b)) / Decimal(b * d) if b * d else one


def common_grid(one: Grid, other: Grid) -> Grid:
    """The coarsest grid that holds both without rounding."""
    return Grid(common_unit(one.tick, other.tick), common_unit(one.lot, other.lot))


def factor(old: Decimal, new: Decimal) -> int:
    """What counts of ``old`` are multiplied with to be counts of ``new``; GridError when they do not fit."""
    return exact_int(old / new, f"multiple of {new} in {old}")


def unit_of(decimals: int) -> Decimal:
    """A unit with that many decimals: 0.01 for 2."""
    return Decimal(1).scaleb(-decimals)


def decimals_of(value: Decimal) -> int:
    """Decimals that a value needs, trailing zeros left out."""
    exponent = value.normalize().as_tuple().exponent
    if not isinstance(exponent, int):
        raise GridError(f"expected a finite number, was {value}")
    return max(0, -exponent)
