"""Split conformal calibration: intervals that cover what they say, on data that the weights have not seen.

For each pair of levels and each step, the distance of the outcome from the median is measured in units of the
predicted half width; the conformal quantile of these scores stretches or shrinks the pair (Romano, Patterson and
Candes 2019, in its multiplicative form, so that it follows the volatility of the window).
"""

from __future__ import annotations

import msgspec
import numpy as np

from workers.engine.forecast.windows import Floats

NARROWEST = 1e-9


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """``factors[p][h]`` stretches pair ``p`` (outermost first) at step ``h``; ``windows`` is what it rests on."""

    factors: tuple[tuple[float, ...], ...]
    windows: int


def fit(quantiles: Floats, target: Floats, levels: tuple[float, ...]) -> Calibration:
    """Factors from quantiles (n, levels, horizon) and outcomes (n, horizon), both in window volatilities."""
    median = len(levels) // 2
    centre = quantiles[:, median]
    factors = []
    for pair in range(median):
        lower, upper = quantiles[:, pair], quantiles[:, -1 - pair]
        score = np.maximum(
            (centre - target) / np.maximum(centre - lower, NARROWEST),
            (target - centre) / np.maximum(upper - centre, NARROWEST),
        )
        wanted = levels[-1 - pair] - levels[pair]
        rank = min(1.0, np.ceil((len(target) + 1) * wanted) / len(target))
        factors.append(tuple(float(factor) for factor in np.quantile(score, rank, axis=0, method="higher")))
    return Calibration(factors=tuple(factors), windows=len(target))


def apply(calibration: Calibration, quantiles: Floats) -> Floats:
    """Calibrated quantiles of the same shape; an outer pair is never left inside an inner one."""
    median = quantiles.shape[1] // 2
    centre = quantiles[:, median]
    out = quantiles.copy()
    for pair in reversed(range(median)):
        factor = np.asarray(calibration.factors[pair])
        out[:, pair] = np.minimum(centre + factor * (quantiles[:, pair] - centre), out[:, pair + 1])
        out[:, -1 - pair] = np.maximum(centre + factor * (quantiles[:, -1 - pair] - centre), out[:, -2 - pair])
    return out
