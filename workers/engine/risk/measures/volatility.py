"""Volatility that moves with time: exponential weights (RiskMetrics) and GARCH(1,1) by maximum likelihood."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import LinearConstraint, minimize
from scipy.signal import lfilter

from workers.engine.risk.measures.conventions import Floats, MeasureError, series
from workers.engine.risk.measures.tail import TailRisk, normal_tail

DECAY: Final = 0.94
"""RiskMetrics' weight of yesterday's variance for daily results (RiskMetrics Technical Document, 1996)."""
_LEAST: Final = 50
_PERSISTENCE: Final = 0.9999
_START: Final = (0.05, 0.1, 0.85)


class Garch(NamedTuple):
    """``h[t] = omega + alpha e[t-1]**2 + beta h[t-1]`` with ``e = results - mu``; ``variances`` has one per result."""

    mu: float
    omega: float
    alpha: float
    beta: float
    loglik: float
    variances: Floats
    next_variance: float


def ewma_variances(results: npt.ArrayLike, *, decay: float = DECAY) -> Floats:
    """Variance foreseen for each result and, last, for the next one: n + 1 values.

    The recursion ``v[t+1] = decay v[t] + (1 - decay) r[t]**2`` begins with the mean square of all results; the mean is
    taken as zero.
    """
    values = series(results)
    if not 0.0 < decay < 1.0:
        raise MeasureError(f"expected a decay between 0 and 1, was {decay}")
    squares = values**2
    first = float(squares.mean())
    later, _ = lfilter([1.0 - decay], [1.0, -decay], squares, zi=[decay * first])
    return np.concatenate(([first], np.asarray(later, np.float64)))


def ewma(results: npt.ArrayLike, confidence: float, *, decay: float = DECAY) -> TailRisk:
    """Normal with mean zero and the EWMA variance that is foreseen for the next result."""
    return normal_tail(0.0, math.sqrt(float(ewma_variances(results, decay=decay)[-1])), confidence)


def fit_garch(results: npt.ArrayLike) -> Garch:
    """GARCH(1,1) with normal innovations by maximum likelihood.

    Before the sample, squared error and variance are both the mean of the squared errors, as in the benchmark of
    Fiorentini, Calzolari and Panattoni (1996). Other software starts otherwise (``arch`` with a backcast) and finds
    slightly other parameters. Raises MeasureError for fewer than 50 results, for results that do not vary, and when
    the likelihood has no maximum with ``alpha + beta`` below 1.
    """
    raw = series(results, least=_LEAST)
    mean, scale = float(raw.mean()), float(raw.std())
    # Prices that never change leave a rounding error, not a zero.
    if scale <= 1e-12 * float(np.abs(raw).max()):
        raise MeasureError(f"expected results that vary, all are {raw[0]}")
    values = (raw - mean) / scale
    found = minimize(
        _negative_loglik,
        np.array([0.0, *_START]),
        args=(values,),
        jac=True,
        method="SLSQP",
        bounds=[(-1.0, 1.0), (1e-9, 2.0), (0.0, 1.0), (0.0, _PERSISTENCE)],
        constraints=LinearConstraint([[0.0, 0.0, 1.0, 1.0]], -np.inf, _PERSISTENCE),
        options={"maxiter": 500, "ftol": 1e-14},
    )
    if not found.success:
        raise MeasureError(f"the likelihood of a GARCH(1,1) has no maximum here: {found.message}")
    mu, omega, alpha, beta = (float(p) for p in found.x)
    errors, variances = _variances(found.x, values)
    ahead = omega + alpha * errors[-1] ** 2 + beta * variances[-1]
    return Garch(
        mu=mean + mu * scale,
        omega=omega * scale**2,
        alpha=alpha,
        beta=beta,
        loglik=-float(found.fun) * values.size - values.size * math.log(scale),
        variances=variances * scale**2,
        next_variance=float(ahead) * scale**2,
    )


def _variances(parameters: Floats, values: Floats) -> tuple[Floats, Floats]:
    mu, omega, alpha, beta = parameters
    errors = values - mu
    squares = errors**2
    before = float(squares.mean())
    shocks = omega + alpha * np.concatenate(([before], squares[:-1]))
    found, _ = lfilter([1.0], [1.0, -beta], shocks, zi=[beta * before])
    return errors, np.asarray(found, np.float64)


def _negative_loglik(parameters: Floats, values: Floats) -> tuple[float, Floats]:
    """Minus the mean log-likelihood, and its gradient by mu, omega, alpha and beta."""
    _, _, alpha, beta = parameters
    errors, h = _variances(parameters, values)
    squares = errors**2
    before, slope = float(squares.mean()), -2.0 * float(errors.mean())
    lagged_squares = np.concatenate(([before], squares[:-1]))
    lagged_slopes = np.concatenate(([slope], -2.0 * errors[:-1]))
    lagged_h = np.concatenate(([before], h[:-1]))
    drivers = (alpha * lagged_slopes, np.ones_like(h), lagged_squares, lagged_h)
    starts = (beta * slope, 0.0, 0.0, 0.0)
    weight = (h - squares) / h**2
    gradient = [
        float((weight * lfilter([1.0], [1.0, -beta], driver, zi=[start])[0]).mean()) / 2.0
        for driver, start in zip(drivers, starts, strict=True)
    ]
    gradient[0] -= float((errors / h).mean())
    value = 0.5 * (math.log(2.0 * math.pi) + float((np.log(h) + squares / h).mean()))
    return value, np.array(gradient)
