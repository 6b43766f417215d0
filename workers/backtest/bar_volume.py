"""The volume of bars: what there is to be had inside one, and what is usual at a time of the day.

A bar says how much traded in it, not when: a quarter of it is taken to trade at each of the four prices of its path,
and bounds what the venue gives us. What we go by ourselves is the volume of bars that are over, and nothing else.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, MutableMapping, Sequence
from fractions import Fraction
from typing import Final

from workers.engine.config import DAY_NS, SECOND_NS
from workers.engine.desk import Desk
from workers.engine.events import Bar
from workers.engine.execution.volume import VolumeCurve, learn

STEPS: Final = 4
"""Prices of a bar's path."""
CURVE_BIN_NS: Final = 15 * 60 * SECOND_NS
CURVE_DAYS: Final = 7


def traded_by(bar: Bar, step: int) -> int:
    """Lots that are taken to have traded in ``bar`` when step ``step`` (0 to 3) of its path is reached."""
    return bar.volume * (step + 1) // STEPS


def room(bar: Bar, step: int, share: Fraction, ours: int) -> int:
    """Lots that we may still trade at this step: ``share`` of what has traded in ``bar``, less ``ours`` of this bar."""
    return max(traded_by(bar, step) * share.numerator // share.denominator - ours, 0)


class LearnedCurves(MutableMapping[str, VolumeCurve]):
    """Volume curves by symbol, each learned when it is asked for, from the bars of a week that have closed by then."""

    def __init__(self, desk: Desk, series: Sequence[Sequence[Bar]]) -> None:
        self._desk = desk
        self._bars = {bars[0].symbol: bars for bars in series if bars}
        self._given: dict[str, VolumeCurve] = {}

    def __getitem__(self, symbol: str) -> VolumeCurve:
        """KeyError where no volume was seen yet, or bars are longer than a day's bins can be."""
        if symbol in self._given:
            return self._given[symbol]
        bars = self._bars[symbol]
        interval, end = bars[0].interval_ns, self._desk.markets[symbol].bar_end
        seen = bars[bisect_right(bars, end - CURVE_DAYS * DAY_NS, key=_end) : bisect_right(bars, end, key=_end)]
        try:
            return learn(((bar.start, bar.volume) for bar in seen), bin_ns=max(CURVE_BIN_NS, interval))
        except ValueError as error:
            raise KeyError(f"{symbol}: {error}") from error

    def __setitem__(self, symbol: str, curve: VolumeCurve) -> None:
        self._given[symbol] = curve

    def __delitem__(self, symbol: str) -> None:
        del self._given[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._bars)

    def __len__(self) -> int:
        return len(self._bars)


def _end(bar: Bar) -> int:
    return bar.ts_event
