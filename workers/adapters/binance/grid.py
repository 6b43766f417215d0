"""Decimal text to whole ticks or lots: exact, and remembered, since the same few thousand texts come all the time."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from workers.engine.instruments import GridError

MAX_REMEMBERED: Final = 65_536
MAX_DIGITS: Final = 40


class DecimalGrid(dict[str, int]):
    """Maps the text of a decimal to its multiple of ``unit``: ``grid["61837.63000000"]`` is 6183763 for 0.01.

    A dictionary, so that a remembered text costs one look-up; what is not remembered is parsed without rounding.
    Forgets everything when ``MAX_REMEMBERED`` texts are held. Raises GridError for a text that is no decimal of zero
    or more, or is no whole multiple.
    """

    def __init__(self, unit: Decimal, what: str) -> None:
        super().__init__()
        sign, digits, exponent = unit.normalize().as_tuple()
        if sign or not isinstance(exponent, int) or not any(digits):
            raise GridError(f"expected positive unit of {what}, was {unit}")
        whole = int("".join(map(str, digits)))
        self._decimals: int = max(0, -exponent)
        self._unit: int = whole * 10 ** max(0, exponent)
        """The unit is ``_unit * 10**-_decimals``."""
        self._what = what

    def __missing__(self, text: str) -> int:
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        value = self[text] = self._parse(text)
        return value

    def _parse(self, text: str) -> int:
        count, rest = self._divide(text)
        if rest:
            raise GridError(f"expected whole multiple of {self._what}, was {text}")
        return count

    def _divide(self, text: str) -> tuple[int, int]:
        """Whole units in ``text``, and something above zero if a part of a unit is left over."""
        whole, _, fraction = text.partition(".")
        digits = whole + fraction
        if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS):
            raise GridError(f"expected decimal of zero or more for {self._what}, was {text!r:.60}")
        shift = self._decimals - len(fraction)
        if shift >= 0:
            return divmod(int(digits) * int(10**shift), self._unit)
        return divmod(int(digits), self._unit * int(10**-shift))


class RestingGrid(DecimalGrid):
    """Quantities that rest in a book: the part of a lot is dropped, but a level that is there keeps one lot.

    Orders placed before a venue coarsened its lot rest on with finer quantities (five in the 2024-08-08 recordings of
    BTCUSDT and ETHUSDT). Refusing an update for one of them would void the whole book.
    """

    def _parse(self, text: str) -> int:
        count, rest = self._divide(text)
        return max(count, 1) if rest else count
