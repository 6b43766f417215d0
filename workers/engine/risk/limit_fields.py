"""Reading published limits field by field: exact conversions, and errors that name the field and the value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from workers.engine.config import SECOND_NS
from workers.engine.instruments import GridError, Instrument, atoms, money


class LimitsError(ValueError):
    """Limits that cannot be used; ``field`` says which one."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


def raw(limits: Mapping[str, Any], field: str) -> Any:
    """What was published under ``field``."""
    if field not in limits:
        raise LimitsError(field, "missing; publish limits that name it")
    return limits[field]


def number(value: Any, field: str) -> Decimal:
    """A finite, non-negative decimal."""
    if isinstance(value, float | bool) or not isinstance(value, str | int | Decimal):
        raise LimitsError(field, f"expected a decimal as a string, was {value!r}")
    try:
        found = Decimal(value)
    except InvalidOperation:
        raise LimitsError(field, f"expected a decimal as a string, was {value!r}") from None
    if not found.is_finite() or found < 0:
        raise LimitsError(field, f"expected a finite, non-negative number, was {value!r}")
    return found


def decimal(limits: Mapping[str, Any], field: str, *, positive: bool = False) -> Decimal:
    """The decimal under ``field``."""
    found = number(raw(limits, field), field)
    if positive and found == 0:
        raise LimitsError(field, "expected a positive number, was 0")
    return found


def integer(value: Any, field: str) -> int:
    """A whole number."""
    found = number(value, field)
    if found != int(found):
        raise LimitsError(field, f"expected a whole number, was {found}")
    return int(found)


def whole(limits: Mapping[str, Any], field: str) -> int:
    """The whole number under ``field``."""
    return integer(raw(limits, field), field)


def money_units(value: Any, field: str, quote: str) -> int:
    """An amount of the quote asset in money units."""
    try:
        return money(number(value, field), quote)
    except GridError as error:
        raise LimitsError(field, str(error)) from error


def amount(limits: Mapping[str, Any], field: str, quote: str) -> int:
    """The amount under ``field`` in money units."""
    return money_units(raw(limits, field), field, quote)


def lots_of(instrument: Instrument, value: Any, field: str) -> int:
    """A quantity of the instrument in lots."""
    try:
        return instrument.lots(number(value, field))
    except GridError as error:
        raise LimitsError(field, str(error)) from error


def atoms_of(instrument: Instrument, value: Any, field: str) -> int:
    """A quantity of the instrument's base asset in atoms."""
    try:
        return atoms(number(value, field), instrument.base)
    except GridError as error:
        raise LimitsError(field, str(error)) from error


def table(limits: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """The object under ``field``."""
    found = raw(limits, field)
    if not isinstance(found, Mapping):
        raise LimitsError(field, f"expected an object of symbol to quantity, was {found!r}")
    return found


def names(value: Any, field: str, what: str = "symbols") -> frozenset[str]:
    """A list of texts."""
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(name, str) for name in value):
        raise LimitsError(field, f"expected a list of {what}, was {value!r}")
    return frozenset(value)


def moment(value: Any, field: str) -> int:
    """A time such as 2026-01-31T00:00:00Z in ns since 1970."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise LimitsError(field, f"expected a time with its zone such as 2026-01-31T00:00:00Z, was {value!r}")
    whole_seconds = (found - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    return int(whole_seconds * 1_000_000) * (SECOND_NS // 1_000_000)


def flag(value: Any, field: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise LimitsError(field, f"expected true or false, was {value!r}")
    return value
