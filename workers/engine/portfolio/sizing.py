"""From a forecast to a position: signal, then a weight of equity by volatility target and fractional Kelly.

Statistics are floats here; the result is rounded down to whole lots before it becomes an order.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist
from typing import Final, NamedTuple

from workers.engine.events import Forecast

YEAR_NS: Final = 365 * 86_400 * 1_000_000_000
"""Markets that never close: volatility is annualised over calendar time."""

LEAST_SIGMA: Final = 1e-9
"""A smaller spread than this is a forecast that knows nothing of its error, not a certainty."""


class Signal(NamedTuple):
    """What a forecast says of the whole horizon: expected log return, its standard deviation, and confidence."""

    mu: float
    sigma: float
    confidence: float
    horizon_ns: int


@lru_cache(maxsize=32)
def _z(level: float) -> float:
    return NormalDist().inv_cdf(level)


def signal_of(forecast: Forecast) -> Signal:
    """Median and spread of the forecast at the end of its horizon.

    The standard deviation is that of the normal distribution with the same distance between the outermost quantiles.
    Raises ValueError when levels are fewer than two, unordered or not matched by quantiles, or a value is not finite.
    """
    levels, ends = forecast.levels, tuple(steps[-1] for steps in forecast.quantiles if steps)
    if len(levels) < 2 or len(ends) != len(levels) or any(a >= b for a, b in pairwise(levels)):
        raise ValueError(f"expected quantiles at two or more rising levels, was {levels} ({forecast.symbol})")
    if not all(math.isfinite(end) for end in (*ends, forecast.confidence)):
        raise ValueError(f"expected finite quantiles, was {ends} ({forecast.symbol}, as of {forecast.as_of})")
    middle = min(range(len(levels)), key=lambda i: abs(levels[i] - 0.5))
    spread = max(ends[-1] - ends[0], 0.0) / (_z(levels[-1]) - _z(levels[0]))
    horizon = len(forecast.quantiles[0]) * forecast.interval_ns
    return Signal(ends[middle], spread, forecast.confidence, horizon)


def shrink(confidence: float, minimum: float) -> float:
    """Share of the expected return to believe: 0 below ``minimum``, rising to 1 at certainty."""
    if confidence < minimum or minimum >= 1.0:
        return 0.0
    return min((confidence - minimum) / (1.0 - minimum), 1.0)


def target_weight(
    signal: Signal, *, target_volatility: float, kelly_fraction: float, min_confidence: float, cap: float
) -> float:
    """Long-only weight of equity: the least of the volatility target, fractional Kelly and ``cap``.

    ``target_volatility`` is annual. The expected return is shrunk by confidence before Kelly (mu / sigma**2). Zero when
    confidence is below ``min_confidence``, when the expected return is not positive, or when there is no spread to
    size by.
    """
    mu = signal.mu * shrink(signal.confidence, min_confidence)
    if mu <= 0.0 or signal.sigma < LEAST_SIGMA:
        return 0.0
    volatility = target_volatility * math.sqrt(signal.horizon_ns / YEAR_NS)
    return max(min(volatility / signal.sigma, kelly_fraction * mu / signal.sigma**2, cap), 0.0)


def lots_for_weight(weight: float, *, equity: int, price: int, lot_value: int) -> int:
    """Whole lots that ``weight`` of ``equity`` (money units) buys at ``price`` (ticks), rounded down."""
    if weight <= 0.0 or equity <= 0 or price <= 0:
        return 0
    numerator, denominator = weight.as_integer_ratio()
    return equity * numerator // (denominator * price * lot_value)
