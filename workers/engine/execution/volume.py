"""Volume: what usually trades at which time of a period, and what was seen to trade. Pure; lots and ns."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import cached_property
from itertools import accumulate
from typing import Annotated, Final

import msgspec

from workers.engine.config import DAY_NS, SECOND_NS
from workers.engine.events import Bar

TAPE_POINTS: Final = 8192
MOST_BINS: Final = 10_080
"""The minutes of a week. A curve travels with its parent, through records and the journal."""

Weight = Annotated[int, msgspec.Meta(le=10**18)]


class VolumeCurve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Mean lots that trade in each bin of a period that repeats, such as a day; within a bin volume is even.

    ``weights[i]`` belongs to ``[i * bin_ns, (i + 1) * bin_ns)`` of the period, which begins at 1970-01-01 UTC.
    """

    bin_ns: Annotated[int, msgspec.Meta(le=10**18)]
    weights: tuple[Weight, ...]

    def __post_init__(self) -> None:
        if len(self.weights) > MOST_BINS:
            raise ValueError(f"expected a volume curve of at most {MOST_BINS} bins, was {len(self.weights)}; widen it")
        if self.bin_ns <= 0 or not self.weights or min(self.weights) < 0 or not sum(self.weights):
            raise ValueError(
                f"expected a volume curve with bins above 0 ns and volume in some bin, was {self.bin_ns} ns "
                f"and {len(self.weights)} weights with sum {sum(self.weights)}"
            )

    @property
    def period_ns(self) -> int:
        """Length of the period."""
        return self.bin_ns * len(self.weights)

    def before(self, ts: int) -> float:
        """Lots from 1970 to ``ts`` by this curve; the difference of two is what to expect between them."""
        periods, within = divmod(ts, self.period_ns)
        index, rest = divmod(within, self.bin_ns)
        sums = self._sums
        return periods * sums[-1] + sums[index] + self.weights[index] * rest / self.bin_ns

    @cached_property
    def _sums(self) -> tuple[int, ...]:
        """Weights before each bin, and of all."""
        return tuple(accumulate(self.weights, initial=0))

    def expected(self, start: int, end: int) -> float:
        """Lots to expect in ``[start, end)``."""
        return self.before(end) - self.before(start)

    def share(self, start: int, end: int, ts: int) -> float:
        """Share of the volume of ``[start, end)`` that comes before ``ts``; by time where none is expected at all."""
        ts = min(max(ts, start), end)
        whole = self.expected(start, end)
        return self.expected(start, ts) / whole if whole > 0 else (ts - start) / max(end - start, 1)


def learn(volumes: Iterable[tuple[int, int]], *, bin_ns: int, period_ns: int = DAY_NS) -> VolumeCurve:
    """The curve of (time, lots) pairs, from bars or trades; ValueError without volume or with bins that do not fit.

    A bin's weight is its mean over the periods in which it was seen. One never seen gets the mean of the others: to
    expect nothing there would mean to trade nothing there.
    """
    if bin_ns <= 0 or period_ns % bin_ns:
        raise ValueError(f"expected bins that divide the period of {period_ns} ns, was {bin_ns} ns")
    sums: dict[int, int] = {}
    seen: dict[int, set[int]] = {}
    for ts, lots in volumes:
        period, within = divmod(ts, period_ns)
        index = within // bin_ns
        sums[index] = sums.get(index, 0) + lots
        seen.setdefault(index, set()).add(period)
    means = {index: round(total / len(seen[index])) for index, total in sums.items()}
    if not sum(means.values()):
        raise ValueError("expected volume in the history that a curve is learned from, was none")
    usual = max(round(sum(means.values()) / len(means)), 1)
    return VolumeCurve(bin_ns, tuple(means.get(index, usual) for index in range(period_ns // bin_ns)))


class Tape:
    """What was seen to trade, by time. Of more than ``TAPE_POINTS`` trades the oldest are only known in sum."""

    __slots__ = ("_forgotten", "_sums", "_times", "bars_until", "by_trades", "total", "turnover")

    def __init__(self, now: int) -> None:
        self.total = 0
        self.turnover = 0
        """Ticks x lots of what traded."""
        self.by_trades = False
        """Single trades are told, so that the volume of bars must not be counted again."""
        self.bars_until = now
        """Bars that begin before this are not counted: some of their volume is older than the tape, or known."""
        self._forgotten = 0
        self._times: list[int] = []
        self._sums: list[int] = []

    def add(self, ts: int, lots: int, price: int = 0) -> None:
        """``lots`` traded at ``ts``, which is not before the last."""
        self.total += lots
        self.turnover += lots * price
        times = self._times
        if times and ts <= times[-1]:
            self._sums[-1] = self.total
            return
        times.append(ts)
        self._sums.append(self.total)
        if len(times) > TAPE_POINTS:
            half = TAPE_POINTS // 2
            self._forgotten = self._sums[half - 1]
            del times[:half], self._sums[:half]

    def add_bar(self, now: int, bar: Bar) -> None:
        """A bar closed at ``now``, of a market whose single trades are not told."""
        if not self.by_trades and bar.start >= self.bars_until:
            self.bars_until = bar.ts_event
            self.add(now, bar.volume, bar.close)

    def until(self, ts: int) -> int:
        """Lots seen up to ``ts``; of a time that is forgotten, what was seen until the oldest that is known."""
        index = bisect_right(self._times, ts)
        return self._sums[index - 1] if index else self._forgotten


class Variance:
    """Running variance of log returns per second, over the last ``half_life_s`` or so."""

    __slots__ = ("_decay_s", "_price", "_ts", "samples", "value")

    def __init__(self, half_life_s: float) -> None:
        self._decay_s = half_life_s / 0.6931
        self._price = 0.0
        self._ts = 0
        self.samples = 0
        self.value = 0.0

    def add(self, ts: int, price: float) -> None:
        """A price in any unit; those less than a second after the last one taken are left out."""
        if self._ts and ts - self._ts < SECOND_NS:
            return
        if self._ts and self._price > 0:
            seconds = (ts - self._ts) / SECOND_NS
            step = (price / self._price - 1.0) ** 2 / seconds
            weight = max(1.0 / (self.samples + 1), min(seconds / self._decay_s, 1.0))
            self.value += weight * (step - self.value)
            self.samples += 1
        self._ts, self._price = ts, price
