"""Value at risk and expected shortfall by simulation, normal or Student's t, the same for the same seed."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from workers.engine.risk.measures.conventions import Floats, MeasureError, covariance_matrix, series
from workers.engine.risk.measures.tail import TailRisk, historical


def factor_of(covariance: Floats) -> Floats:
    """A matrix ``F`` with ``F @ F.T == covariance``, also where the covariance is singular.

    MeasureError when an eigenvalue is negative by more than rounding.
    """
    values, vectors = np.linalg.eigh(covariance)
    largest = float(np.abs(values).max(initial=0.0))
    if values.size and float(values[0]) < -1e-8 * max(largest, 1e-300):
        raise MeasureError(f"expected a positive semidefinite covariance, its smallest eigenvalue is {values[0]}")
    found: Floats = vectors * np.sqrt(np.clip(values, 0.0, None))
    return found


def simulate(
    covariance: npt.ArrayLike,
    *,
    paths: int,
    seed: int,
    mean: npt.ArrayLike | None = None,
    degrees: float | None = None,
) -> Floats:
    """``paths`` draws of all assets' returns, shape (paths, assets).

    With ``degrees`` a multivariate t of that many degrees of freedom, scaled so that its covariance is the one given;
    MeasureError unless they exceed 2.
    """
    if paths < 100:
        raise MeasureError(f"expected at least 100 paths, was {paths}")
    size = np.asarray(covariance).shape[0]
    factor = factor_of(covariance_matrix(covariance, size))
    random = np.random.default_rng(seed)
    draws = random.standard_normal((paths, size)) @ factor.T
    if degrees is not None:
        if degrees <= 2.0:
            raise MeasureError(f"expected more than 2 degrees of freedom, was {degrees}")
        mixing = random.chisquare(degrees, paths) / degrees
        draws *= np.sqrt((degrees - 2.0) / degrees / mixing)[:, None]
    if mean is not None:
        draws += series(mean, least=1, what="means")
    return draws


def monte_carlo(
    covariance: npt.ArrayLike,
    values: npt.ArrayLike,
    confidence: float,
    *,
    paths: int = 10_000,
    seed: int,
    degrees: float | None = None,
) -> TailRisk:
    """Of holdings worth ``values`` under mean-zero returns with ``covariance``.

    Only the sum of the holdings matters, and a linear map of a normal or t vector is one again: the sum is drawn
    directly, with ``degrees`` as in ``simulate``.
    """
    worth = series(values, least=1, what="values")
    matrix = covariance_matrix(covariance, worth.size)
    factor_of(matrix)
    sigma = math.sqrt(max(float(worth @ matrix @ worth), 0.0))
    draws = simulate(np.ones((1, 1)), paths=paths, seed=seed, degrees=degrees)[:, 0]
    return historical(draws * sigma, confidence)
