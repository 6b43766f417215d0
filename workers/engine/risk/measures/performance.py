"""Ratios of reward to risk, per period of the returns unless ``periods`` says how many make a year."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from workers.engine.risk.measures.conventions import MeasureError, Sigma, series
from workers.engine.risk.measures.drawdown import max_drawdown


def sharpe(
    returns: npt.ArrayLike, *, riskless: float = 0.0, periods: float = 1.0, sigma: Sigma = Sigma.SAMPLE
) -> float:
    """Mean excess return over its standard deviation, times the root of ``periods``."""
    excess = series(returns) - riskless
    return _ratio(float(excess.mean()), float(excess.std(ddof=int(sigma))), "volatility") * math.sqrt(periods)


def downside_deviation(returns: npt.ArrayLike, *, least: float = 0.0) -> float:
    """Root of the mean square of what falls short of ``least``, over **all** returns (PerformanceAnalytics' "full")."""
    short = np.minimum(series(returns) - least, 0.0)
    return float(np.sqrt((short**2).mean()))


def sortino(returns: npt.ArrayLike, *, least: float = 0.0, periods: float = 1.0) -> float:
    """Mean return above ``least`` over the downside deviation from it (Sortino and Price, 1994)."""
    values = series(returns)
    reward = float(values.mean()) - least
    return _ratio(reward, downside_deviation(values, least=least), "downside deviation") * math.sqrt(periods)


def omega(returns: npt.ArrayLike, *, least: float = 0.0) -> float:
    """Sum of what exceeds ``least`` over the sum of what falls short of it (Keating and Shadwick, 2002)."""
    above = series(returns) - least
    return _ratio(float(np.maximum(above, 0.0).sum()), float(np.maximum(-above, 0.0).sum()), "shortfall")


def calmar(returns: npt.ArrayLike, *, periods: float) -> float:
    """Compound return of a year of ``periods`` returns over the deepest drawdown (Young, 1991)."""
    values = series(returns)
    yearly = float(np.exp(np.log1p(values).mean() * periods)) - 1.0
    return _ratio(yearly, max_drawdown(values), "drawdown")


def kelly(returns: npt.ArrayLike, *, riskless: float = 0.0, fraction: float = 0.5) -> float:
    """Fraction of wealth to hold: ``fraction`` of mean excess over its sample variance (Thorp, 2006).

    One half is PerformanceAnalytics' default; 1 is the full Kelly share.
    """
    excess = series(returns) - riskless
    return fraction * _ratio(float(excess.mean()), float(excess.var(ddof=1)), "variance")


def _ratio(reward: float, risk: float, what: str) -> float:
    if risk <= 0.0:
        raise MeasureError(f"expected a {what} above 0 to divide by, was {risk}")
    return reward / risk
