"""Checks of single fields: each returns the canonical value, or raises ValueError in words."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from apps.core.errors import Invalid
from apps.core.money import parse_decimal, plain

DECIMALS: Final = 8
"""What the engine's smallest unit of an asset can express."""

Check = Callable[[Any], Any]
"""Returns the canonical value; ValueError with a message that names what was expected and what was given."""


def decimal(value: Any) -> Decimal:
    """A finite decimal."""
    try:
        return parse_decimal(value, "amount")
    except Invalid as error:
        raise ValueError(error.detail) from None


def amount(value: Any) -> str:
    """A positive amount in canonical text."""
    number = decimal(value)
    if number <= 0:
        raise ValueError(f"expected more than 0, was {value}")
    if number != round(number, DECIMALS):
        raise ValueError(f"expected at most {DECIMALS} decimals, was {value}")
    return plain(number)


def fraction(value: Any) -> str:
    """More than 0 and at most 1."""
    number = decimal(value)
    if not 0 < number <= 1:
        raise ValueError(f"expected more than 0 and at most 1, was {value}")
    return plain(number)


def whole(low: int, high: int) -> Check:
    """A whole number of a range."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"expected a whole number, was {value!r}")  # noqa: TRY004 - one kind of error per field
        if not low <= value <= high:
            raise ValueError(f"expected {low} to {high}, was {value}")
        return value

    return check


def by_symbol(value: Any) -> dict[str, str]:
    """An object of symbol to quantity."""
    if not isinstance(value, dict):
        raise ValueError(f"expected an object of symbol to quantity, was {value!r}")  # noqa: TRY004 - as above
    found: dict[str, str] = {}
    for symbol, quantity in sorted(value.items()):
        try:
            found[symbol_name(symbol)] = amount(quantity)
        except ValueError as error:
            raise ValueError(f"{symbol}: {error}") from None
    return found


def symbols(value: Any) -> list[str]:
    """A list of symbols, sorted."""
    if not isinstance(value, list):
        raise ValueError(f"expected a list of symbols, was {value!r}")  # noqa: TRY004 - as above
    return sorted({symbol_name(symbol) for symbol in value})


def symbol_name(value: Any) -> str:
    """A symbol such as BTCUSDT, or BTCUSDT@beta of another venue than the home venue."""
    if isinstance(value, str) and len(value) <= 32:
        parts = value.replace("-", "").replace("_", "").split("@", 1)
        if all(part.isalnum() for part in parts):
            return value
    raise ValueError(f"expected a symbol such as BTCUSDT or BTCUSDT@beta, was {value!r}")


def text_name(value: Any) -> str:
    """A name of letters, digits and ``_ - . / @``."""
    good = isinstance(value, str) and 1 <= len(value) <= 64 and all(c.isalnum() or c in "_-./@" for c in value)
    if not good:
        raise ValueError(f"expected a name of letters, digits, _ - . / or @, was {value!r}")
    return str(value)


def names(value: Any) -> list[str]:
    """A list of names, sorted."""
    if not isinstance(value, list):
        raise ValueError(f"expected a list of names, was {value!r}")  # noqa: TRY004 - as above
    return sorted({text_name(name) for name in value})


def by_name(value: Any) -> dict[str, str]:
    """An object of name to amount."""
    if not isinstance(value, dict):
        raise ValueError(f"expected an object of name to amount, was {value!r}")  # noqa: TRY004 - as above
    found: dict[str, str] = {}
    for name, given in sorted(value.items()):
        try:
            found[text_name(name)] = amount(given)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return found
