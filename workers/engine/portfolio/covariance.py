"""Covariance from returns: sample, exponentially weighted, Ledoit-Wolf; and the repair of one that is not PSD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from workers.engine.portfolio.problem import Floats, PortfolioError

EWMA_DECAY: Final = 0.94
"""RiskMetrics' daily decay (J.P. Morgan, RiskMetrics Technical Document, 4th ed., 1996)."""


@dataclass(frozen=True)
class Estimate:
    """A covariance (n, n) per period; ``shrinkage`` is the share of the target in it, ``repair`` what was moved."""

    matrix: Floats
    shrinkage: float = 0.0
    repaired: float = 0.0
    """Frobenius distance from the estimate to the matrix, relative to the estimate; 0 when nothing was repaired."""


def checked_returns(returns: Floats) -> Floats:
    """``returns`` (T, n), T at least 2; PortfolioError naming the first value that is not finite."""
    if returns.ndim != 2 or len(returns) < 2:
        raise PortfolioError(f"expected returns of shape (at least 2, n), was {returns.shape}")
    bad = np.argwhere(~np.isfinite(returns))
    if bad.size:
        row, column = (int(i) for i in bad[0])
        raise PortfolioError(f"expected finite return, was {returns[row, column]} (period {row}, column {column})")
    return returns


def sample(returns: Floats) -> Estimate:
    """Sample covariance with denominator T - 1."""
    centred = checked_returns(returns) - returns.mean(axis=0)
    return Estimate(centred.T @ centred / (len(returns) - 1))


def ewma(returns: Floats, decay: float = EWMA_DECAY) -> Estimate:
    """Weights ``decay``**age, normalised to 1, about a zero mean, as in RiskMetrics; the newest row is the last."""
    if not 0.0 < decay < 1.0:
        raise PortfolioError(f"expected a decay in (0, 1), was {decay}")
    weights = decay ** np.arange(len(checked_returns(returns)) - 1, -1, -1, dtype=np.float64)
    weights /= weights.sum()
    return Estimate((returns * weights[:, None]).T @ returns)


def ledoit_wolf(returns: Floats) -> Estimate:
    """Shrinkage towards the mean variance times identity (Ledoit and Wolf, J. Multivariate Analysis 88, 2004).

    With denominator T, as in the paper. The optimal intensity is min(b2, d2) / d2, with d2 the distance of the sample
    from the target and b2 the estimation error of the sample, in the paper's notation.
    """
    periods, size = checked_returns(returns).shape
    centred = returns - returns.mean(axis=0)
    raw = centred.T @ centred / periods
    level = float(np.trace(raw)) / size
    distance = float(((raw - level * np.eye(size)) ** 2).sum()) / size
    squares = (centred**2).T @ (centred**2) / periods
    error = float((squares - raw**2).sum()) / size / periods
    share = min(error, distance) / distance if distance > 0.0 else 0.0
    return Estimate((1.0 - share) * raw + share * level * np.eye(size), shrinkage=share)


def repair(matrix: Floats, floor: float = 0.0) -> Estimate:
    """The nearest symmetric matrix in Frobenius norm whose eigenvalues are at least ``floor`` times the largest.

    Negative eigenvalues are raised (Higham, Linear Algebra Appl. 103, 1988); the distance is reported, so that nobody
    takes a made-up matrix for an estimate.
    """
    symmetric = (matrix + matrix.T) / 2
    values, vectors = np.linalg.eigh(symmetric)
    least = max(float(values[-1]), 0.0) * floor
    scale = float(np.linalg.norm(matrix))
    if values[0] >= least:
        return Estimate(symmetric, repaired=float(np.linalg.norm(symmetric - matrix)) / scale if scale else 0.0)
    raised = (vectors * np.maximum(values, least)) @ vectors.T
    raised = (raised + raised.T) / 2
    return Estimate(raised, repaired=float(np.linalg.norm(raised - matrix)) / scale)


METHODS: Final = {"sample": sample, "ewma": ewma, "ledoit_wolf": ledoit_wolf}
