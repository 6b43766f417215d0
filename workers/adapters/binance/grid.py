"""Decimal text to whole ticks or lots: exact, and remembered, since the same few thousand texts come all the time."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Final

from workers.engine.instruments import GridError

MAX_REMEMBERED: Final = 65_536
MAX_DIGITS: Final = 40


class DecimalGrid(dict[str, int]):
    """Maps the text of a decimal to its multiple of ``unit``: ``grid["61837.63000000"]`` is 6183763 for 0.01.

    A dictionary, so that a remembered text costs one look-up; what is not remembered is parsed without rounding.
    Forgets everything when ``MAX_REMEMBERED`` texts are held. Raises GridError for a text that is no decimal of zero
    or more, or is no whole multiple.
    """

    rounds: ClassVar[bool] = False

    def __init__(self, unit: Decimal, what: str) -> None:
        super().__init__()
        sign, digits, exponent = unit.normalize().as_tuple()
        if sign or not isinstance(exponent, int) or not any(digits):
            raise GridError(f"expected positive unit of {what}, was {unit}")
        whole, decimals = int("".join(map(str, digits))), max(0, -exponent)
        whole *= int(10 ** max(0, exponent))
        self._what = what
        # By number of decimals in a text: what its digits are multiplied with, and what the unit then is.
        self._scales = [
            (int(10 ** max(0, decimals - count)), whole * int(10 ** max(0, count - decimals)))
            for count in range(MAX_DIGITS + 1)
        ]

    def __missing__(self, text: str) -> int:
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        whole, _, part = text.partition(".")
        digits = whole + part
        if not (digits.isdigit() and digits.isascii() and len(digits) <= MAX_DIGITS):
            raise GridError(f"expected decimal of zero or more for {self._what}, was {text!r:.60}")
        factor, unit = self._scales[len(part)]
        count, rest = divmod(int(digits) * factor, unit)
        if rest:
            if not self.rounds:
                raise GridError(f"expected whole multiple of {self._what}, was {text}")
            count = max(count, 1)
        self[text] = count
        return count


class RestingGrid(DecimalGrid):
    """Quantities that rest in a book: the part of a lot is dropped, but a level that is there keeps one lot.

    Orders placed before a venue coarsened its lot rest on with finer quantities (five in the 2024-08-08 recordings of
    BTCUSDT and ETHUSDT). Refusing an update for one of them would void the whole book.
    """

    rounds: ClassVar[bool] = True
