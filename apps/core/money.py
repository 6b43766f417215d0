"""Decimals in, decimals out: money and quantities are never floats at rest or on an API."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from apps.core.errors import Invalid


def parse_decimal(value: object, name: str) -> Decimal:
    """Decimal from a string or int; Invalid for floats, NaN and infinities, naming ``name`` and the value."""
    if isinstance(value, float) or not isinstance(value, str | int | Decimal):
        raise Invalid(f"expected a decimal string for {name}, was {value!r}", field=name, value=repr(value))
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise Invalid(f"expected a decimal number for {name}, was {value!r}", field=name, value=repr(value)) from error
    if not number.is_finite():
        raise Invalid(f"expected a finite {name}, was {value}", field=name, value=str(value))
    return number


def plain(value: Decimal) -> str:
    """The canonical text of a decimal: no exponent, no trailing zeros, no negative zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
