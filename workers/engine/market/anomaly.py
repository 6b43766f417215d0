"""Ticks that are believable and yet out of the ordinary: an unusual size is news, not a wrong message. Pure.

Prices that jump or print outside the best bid and ask are *refused* by the quality gate until they are confirmed
(``quality``: EWMA sigma with MAD confirmation). A large trade is usually true, so it is *flagged*: counted, shown to
whoever asks, and passed on.

Sizes are compared by their logarithm, since they spread over orders of magnitude. The mean and the variance of it are
exponentially weighted (RiskMetrics recursion); a size is an outlier when it exceeds the mean by more than ``sigmas``
deviations after at least ``warm_up`` sizes. An outlier teaches only as much as the threshold itself, so that one huge
trade does not hide the next.
"""

from __future__ import annotations

from math import log, sqrt
from typing import Final

import msgspec

DEVIATION_FLOOR: Final = 0.25
"""Smallest deviation of the logarithm assumed: in a market of equal sizes a slightly larger one is no news."""


class SizeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of the size check."""

    sigmas: float = 5.0
    decay: float = 0.99
    warm_up: int = 50


class SizeFilter:
    """Notices outliers in the sizes of one instrument's trades."""

    __slots__ = ("_config", "_mean", "_variance", "count", "outliers")

    def __init__(self, config: SizeConfig | None = None) -> None:
        self._config = config or SizeConfig()
        self._mean = 0.0
        self._variance = 0.0
        self.count = 0
        self.outliers = 0

    def reset(self) -> None:
        """Forget the past; the counter of outliers stays."""
        self._mean = self._variance = 0.0
        self.count = 0

    def take(self, lots: int) -> float:
        """Take a positive size; how many deviations it lies above the mean when it is an outlier, else 0."""
        value = log(lots)
        if not self.count:
            self.count = 1
            self._mean = value
            return 0.0
        config = self._config
        self.count += 1
        change = value - self._mean
        deviation = max(sqrt(self._variance), DEVIATION_FLOOR)
        score = 0.0
        if self.count > config.warm_up and change > config.sigmas * deviation:
            score = change / deviation
            self.outliers += 1
            change = config.sigmas * deviation
        weight = 1.0 - config.decay
        self._mean += weight * change
        self._variance = config.decay * (self._variance + weight * change * change)
        return score
