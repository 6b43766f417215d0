"""Value at risk and expected shortfall of one series of results: historical, Gaussian and Cornish-Fisher.

Signs, quantiles and divisors: see ``conventions``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from workers.engine.risk.measures.conventions import Floats, MeasureError, Quantile, Sigma, Tail, series, tail_share

_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)


class TailRisk(NamedTuple):
    """Value at risk and expected shortfall, losses positive, in the unit of the results."""

    var: float
    es: float


class Moments(NamedTuple):
    """Mean, standard deviation, skewness and excess kurtosis of a series."""

    mean: float
    sigma: float
    skew: float
    kurtosis: float


def historical(
    results: npt.ArrayLike,
    confidence: float,
    *,
    quantile: Quantile = Quantile.LINEAR,
    tail: Tail = Tail.EXACT,
) -> TailRisk:
    """Of the results themselves, every one with the same weight; only the tail is put in order."""
    values, share = series(results), tail_share(confidence)
    n = values.size
    place = (n - 1) * share if quantile is Quantile.LINEAR else float(order_place(n, share))
    low = int(place)
    last = min(low + 1, n - 1)
    worst = np.partition(values, last)[: last + 1]
    worst.sort()
    var = -float(worst[low] + (place - low) * (worst[last] - worst[low]))
    es = exact_shortfall(worst, n * share) if tail is Tail.EXACT else beyond(values, var)
    return TailRisk(var, es)


def order_place(n: int, share: float) -> int:
    """Index of the order statistic ``ceil(n share)`` from below; skfolio's value at risk."""
    # A share such as 1 - 0.95 is a hair more than 0.05, which must not push n share over a whole number.
    return max(math.ceil(n * share - 1e-9 * n) - 1, 0)


def exact_shortfall(worst: Floats, mass: float) -> float:
    """Mean loss of the ``mass`` worst results, a whole and a part; ``worst`` ascending and long enough.

    Acerbi and Tasche (2002), On the coherence of expected shortfall, equation 3.
    """
    whole = min(int(mass), worst.size)
    part = (mass - whole) * float(worst[whole]) if whole < worst.size else 0.0
    return -(float(worst[:whole].sum()) + part) / mass


def beyond(values: Floats, var: float) -> float:
    """Mean loss of the results that lose at least ``var``; PerformanceAnalytics' ``ES(method = "historical")``."""
    return -float(values[values <= -var].mean())


def gaussian(results: npt.ArrayLike, confidence: float, *, sigma: Sigma = Sigma.SAMPLE) -> TailRisk:
    """As if the results were normal with their own mean and standard deviation."""
    values = series(results)
    return normal_tail(float(values.mean()), float(values.std(ddof=int(sigma))), confidence)


def normal_tail(mean: float, sigma: float, confidence: float) -> TailRisk:
    """Of a normal result: ``z sigma - mean`` and ``phi(z) sigma / (1 - confidence) - mean``."""
    share = tail_share(confidence)
    z = float(ndtri(confidence))
    return TailRisk(z * sigma - mean, density(z) / share * sigma - mean)


def density(z: float) -> float:
    """Of the standard normal distribution."""
    return math.exp(-0.5 * z * z) / _ROOT_TWO_PI


def moments(results: npt.ArrayLike, *, sigma: Sigma = Sigma.SAMPLE) -> Moments:
    """Skewness and kurtosis are the plain ratios of population moments, whatever ``sigma`` divides by."""
    values = series(results)
    centred = values - values.mean()
    second = float((centred**2).mean())
    if second <= 0.0:
        raise MeasureError(f"expected results that vary, all are {values[0]}")
    third, fourth = float((centred**3).mean()), float((centred**4).mean())
    spread = float(values.std(ddof=int(sigma)))
    return Moments(float(values.mean()), spread, third / second**1.5, fourth / second**2 - 3.0)


def modified(results: npt.ArrayLike, confidence: float, *, sigma: Sigma = Sigma.SAMPLE) -> TailRisk:
    """Cornish-Fisher: the normal quantile bent by skewness and kurtosis (Favre and Galeano, 2002)."""
    return cornish_fisher(moments(results, sigma=sigma), confidence)


def cornish_fisher(shape: Moments, confidence: float) -> TailRisk:
    """Quantile by the expansion to the fourth moment; the shortfall is that quantile's own mean over the tail.

    Maillard (2012), A user's guide to the Cornish Fisher expansion, sections 2 and 5. Trust it only where
    ``is_monotone`` holds: outside, a larger confidence can give a smaller loss.
    """
    share = tail_share(confidence)
    z, s, k = -float(ndtri(confidence)), shape.skew, shape.kurtosis
    bent = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
    factor = 1 + z * s / 6 + (z**2 - 1) * k / 24 - (2 * z**2 - 1) * s**2 / 36
    return TailRisk(-shape.mean - bent * shape.sigma, density(z) / share * factor * shape.sigma - shape.mean)


def is_monotone(shape: Moments) -> bool:
    """True where the Cornish-Fisher quantile grows with the probability (Maillard, 2012, equation 6)."""
    s, k = shape.skew, shape.kurtosis
    a, b, c = k / 8 - s**2 / 6, s / 3, 1 - k / 8 + 5 * s**2 / 36
    # The derivative of the bent quantile is a z**2 + b z + c: it must nowhere be negative.
    return (a > 0 and b * b <= 4 * a * c) or (a == 0 and b == 0 and c >= 0)
