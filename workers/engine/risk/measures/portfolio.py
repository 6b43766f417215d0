"""Risk of holdings under a covariance: its parts, and what another trade would add.

``values`` are what the holdings are worth, signed, so that every figure is in money; with weights in their place it is
a fraction. Means are zero: over a day they are far below the noise.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from workers.engine.risk.measures.conventions import Floats, MeasureError, covariance_matrix, finite, series, tail_share
from workers.engine.risk.measures.tail import TailRisk, density, historical
from workers.engine.risk.measures.volatility import DECAY


class Parts(NamedTuple):
    """``total`` and what each holding contributes to it; the parts sum to the total (Euler)."""

    total: float
    parts: Floats


def return_matrix(values: npt.ArrayLike) -> Floats:
    """Returns in shape (periods, assets); MeasureError unless there are two periods and all are finite."""
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.shape[0] < 2:
        raise MeasureError(f"expected returns of at least 2 periods by assets, was {array.shape}")
    return finite(array, "returns")


def sample_covariance(returns: npt.ArrayLike) -> Floats:
    """Divided by n - 1, means removed; shape (assets, assets)."""
    matrix = return_matrix(returns)
    centred = matrix - matrix.mean(axis=0)
    found: Floats = centred.T @ centred / (matrix.shape[0] - 1)
    return found


def ewma_covariance(returns: npt.ArrayLike, *, decay: float = DECAY) -> Floats:
    """RiskMetrics' covariance foreseen for the next period: zero mean, weights that fall by ``decay`` and sum to 1."""
    matrix = return_matrix(returns)
    weights = decay ** np.arange(matrix.shape[0] - 1, -1, -1, dtype=np.float64)
    weights /= weights.sum()
    found: Floats = (matrix * weights[:, None]).T @ matrix
    return found


class EwmaCovariance:
    """The same, one period at a time; ``matrix`` is kept in place."""

    __slots__ = ("_work", "decay", "matrix")

    def __init__(self, start: npt.ArrayLike, *, decay: float = DECAY) -> None:
        first = np.asarray(start, np.float64)
        self.matrix: Floats = covariance_matrix(first, first.shape[0]).copy()
        self.decay = decay
        self._work = np.empty_like(self.matrix)

    def update(self, returns: Floats) -> None:
        """Take one period's returns: ``C = decay C + (1 - decay) r r'``; the caller vouches that they are finite."""
        np.multiply(returns[:, None], (1.0 - self.decay) * returns, out=self._work)
        self.matrix *= self.decay
        self.matrix += self._work


def sigma_of(values: Floats, covariance: Floats) -> float:
    """Standard deviation of the holdings' result."""
    return math.sqrt(max(float(values @ covariance @ values), 0.0))


def parametric(values: npt.ArrayLike, covariance: npt.ArrayLike, confidence: float) -> TailRisk:
    """Normal value at risk and shortfall, in the unit of ``values``."""
    worth = series(values, least=1, what="values")
    sigma, share = sigma_of(worth, covariance_matrix(covariance, worth.size)), tail_share(confidence)
    z = float(ndtri(confidence))
    return TailRisk(z * sigma, density(z) / share * sigma)


def component_var(values: npt.ArrayLike, covariance: npt.ArrayLike, confidence: float) -> Parts:
    """Normal value at risk by holding: ``value * (C value) / sigma * z``. A part is negative where it hedges."""
    worth = series(values, least=1, what="values")
    matrix = covariance_matrix(covariance, worth.size)
    total = parametric(worth, matrix, confidence).var
    sigma = sigma_of(worth, matrix)
    if sigma == 0.0:
        return Parts(0.0, np.zeros_like(worth))
    return Parts(total, worth * (matrix @ worth) * (total / sigma**2))


def component_es(values: npt.ArrayLike, returns: npt.ArrayLike, confidence: float) -> Parts:
    """Historical shortfall by holding: each one's mean loss over the worst results of all holdings together.

    The result at the edge of the tail counts in part, as in ``Tail.EXACT``, so that the parts sum to that shortfall.
    """
    worth, matrix = series(values, least=1, what="values"), return_matrix(returns)
    mass = matrix.shape[0] * tail_share(confidence)
    order = np.argsort(matrix @ worth, kind="stable")
    whole = min(int(mass), order.size)
    tail = matrix[order[:whole]].sum(axis=0)
    if whole < order.size:
        tail = tail + (mass - whole) * matrix[order[whole]]
    parts = -worth * tail / mass
    return Parts(float(parts.sum()), parts)


def historical_portfolio(values: npt.ArrayLike, returns: npt.ArrayLike, confidence: float) -> TailRisk:
    """Of the holdings as they are now, under every period of the past."""
    worth, matrix = series(values, least=1, what="values"), return_matrix(returns)
    return historical(matrix @ worth, confidence)


def incremental_var(
    values: npt.ArrayLike, change: npt.ArrayLike, covariance: npt.ArrayLike, confidence: float
) -> float:
    """Normal value at risk after ``change`` less that before; negative where the change hedges."""
    worth = series(values, least=1, what="values")
    moved = series(change, least=1, what="changes")
    return parametric(worth + moved, covariance, confidence).var - parametric(worth, covariance, confidence).var
