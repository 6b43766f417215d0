"""Decimals in, decimals out: money and quantities are never floats at rest or on an API."""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import Final

from apps.core.errors import Invalid

SHOWN: Final = 60
DIGITS: Final = 20
DECIMALS: Final = 18
"""What a record can hold before and behind the point."""
WIDE: Final = Context(prec=120)
"""Room for products and quotients of amounts, where nothing may be rounded unseen."""
_NUMBER: Final = re.compile(rf"[+-]?\d{{1,{DIGITS}}}(\.\d{{1,{DECIMALS}}})?", re.ASCII)


def parse_decimal(value: object, name: str) -> Decimal:
    """Exact decimal from text or an int, as ``-1234.5``; Invalid for anything else, naming ``name`` and the value.

    Floats, exponents, NaN, underscores, digits of other scripts and what no record can hold are refused, not guessed.
    """
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal) or not _NUMBER.fullmatch(text):
        form = f'a decimal as text, such as "1234.5", with up to {DIGITS} digits and {DECIMALS} decimals'
        raise Invalid(f"expected {form}, was {shown(value)}", field=name, value=shown(value))
    return Decimal(text)


def shown(value: object) -> str:
    """``value`` as an error shows it: the beginning of it, where it is long."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} (and more)"


def estimate(value: Decimal, places: int = 8) -> Decimal:
    """``value`` rounded to ``places`` decimals, however large it is."""
    return value.quantize(Decimal(1).scaleb(-places), context=WIDE)


def plain(value: Decimal) -> str:
    """The canonical text of a decimal: no exponent, no trailing zeros, no negative zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
