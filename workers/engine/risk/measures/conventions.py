"""What every measure of this package agrees on, and the choices in which other libraries differ.

* Returns or profits come in as one period's result, gain positive. **Every risk comes out as a positive loss**;
  a negative value at risk means a gain even in the tail.
* ``confidence`` is the probability of staying within the value at risk: 0.95 or 0.99, never the tail's 0.05.
* Volatility is ``Sigma.SAMPLE`` (divided by n - 1) unless asked otherwise. PerformanceAnalytics divides by n.
* A quantile is ``Quantile.LINEAR`` unless asked otherwise: between order statistics, type 7 of Hyndman and Fan, as in
  R, NumPy and empyrical. skfolio takes the order statistic ``ceil(n (1 - confidence))`` from below.
* A historical shortfall weighs exactly the worst ``n (1 - confidence)`` results, the last of them in part
  (``Tail.EXACT``: Acerbi and Tasche, 2002; coherent). PerformanceAnalytics averages what lies beyond the value at risk
  (``Tail.BEYOND``), which is not coherent.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class MeasureError(ValueError):
    """Input that no measure can be made of; the message names the value and its place."""


class Quantile(StrEnum):
    """How the historical quantile is taken: see the module."""

    LINEAR = "linear"
    ORDER = "order"


class Sigma(IntEnum):
    """What the sum of squared deviations is divided by: n less this value."""

    POPULATION = 0
    SAMPLE = 1


class Tail(StrEnum):
    """Which results a historical shortfall averages: see the module."""

    EXACT = "exact"
    BEYOND = "beyond"


def series(values: npt.ArrayLike, *, least: int = 2, what: str = "returns") -> Floats:
    """``values`` as a float vector; MeasureError when it is too short, not one-dimensional or not finite."""
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise MeasureError(f"expected {what} in one dimension, was {array.ndim}")
    if array.size < least:
        raise MeasureError(f"expected at least {least} {what}, was {array.size}")
    return finite(array, what)


def finite(array: Floats, what: str) -> Floats:
    """``array``; MeasureError naming its first value that is not finite."""
    if not np.isfinite(array).all():
        place = tuple(int(axis[0]) for axis in np.nonzero(~np.isfinite(array)))
        raise MeasureError(f"expected finite {what}, was {array[place]} at {place}")
    return array


def tail_share(confidence: float) -> float:
    """1 - confidence; MeasureError unless confidence is inside (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise MeasureError(f"expected a confidence between 0 and 1, was {confidence}")
    return 1.0 - confidence


def covariance_matrix(values: npt.ArrayLike, size: int) -> Floats:
    """A square, symmetric, finite matrix of ``size``; MeasureError otherwise."""
    array = np.asarray(values, np.float64)
    if array.shape != (size, size):
        raise MeasureError(f"expected a covariance of {size} x {size}, was {array.shape}")
    finite(array, "covariance")
    if not np.allclose(array, array.T, rtol=1e-9, atol=1e-12 * max(float(np.abs(array).max(initial=0.0)), 1e-300)):
        raise MeasureError("expected a symmetric covariance")
    return array
