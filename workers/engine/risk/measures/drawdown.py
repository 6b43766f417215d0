"""How far below its highest point a series of results is, how deep on average, and how deep in the tail."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workers.engine.risk.measures.conventions import Floats, MeasureError, series, tail_share
from workers.engine.risk.measures.tail import exact_shortfall


def drawdowns(returns: npt.ArrayLike, *, compounded: bool = True, from_start: bool = True) -> Floats:
    """Loss from the highest point so far after each return, never negative.

    Compounded: the fraction of wealth that is lost. Otherwise: the sum of returns that is lost. ``from_start`` counts
    the starting point as a high, so that a first return that loses is a drawdown; skfolio and empyrical do not.
    """
    values = series(returns, least=1)
    if compounded and (values <= -1.0).any():
        raise MeasureError(f"expected returns above -1 to compound, was {values.min()} at {int(values.argmin())}")
    wealth = np.asarray(np.cumprod(1.0 + values) if compounded else np.cumsum(values), np.float64)
    peaks = np.maximum.accumulate(wealth)
    if from_start:
        peaks = np.maximum(peaks, 1.0 if compounded else 0.0)
    found: Floats = 1.0 - wealth / peaks if compounded else peaks - wealth
    return found


def max_drawdown(returns: npt.ArrayLike, *, compounded: bool = True, from_start: bool = True) -> float:
    """The deepest drawdown."""
    return float(drawdowns(returns, compounded=compounded, from_start=from_start).max())


def average_drawdown(returns: npt.ArrayLike, *, compounded: bool = True, from_start: bool = True) -> float:
    """Mean over all times, those at a high included."""
    return float(drawdowns(returns, compounded=compounded, from_start=from_start).mean())


def ulcer_index(returns: npt.ArrayLike, *, compounded: bool = True, from_start: bool = True) -> float:
    """Root of the mean square of the drawdowns (Martin and McCann, 1989)."""
    return float(np.sqrt((drawdowns(returns, compounded=compounded, from_start=from_start) ** 2).mean()))


def cdar(returns: npt.ArrayLike, confidence: float, *, compounded: bool = True, from_start: bool = True) -> float:
    """Conditional drawdown at risk: mean of the deepest ``1 - confidence`` share of drawdowns.

    Chekhlov, Uryasev and Zabarankin (2005), Drawdown measure in portfolio optimization.
    """
    depths = drawdowns(returns, compounded=compounded, from_start=from_start)
    return exact_shortfall(-np.sort(depths)[::-1], depths.size * tail_share(confidence))


def longest_underwater(returns: npt.ArrayLike, *, compounded: bool = True) -> int:
    """Most results in a row that end below the high."""
    below = drawdowns(returns, compounded=compounded) > 0.0
    edges = np.flatnonzero(np.diff(np.concatenate(([False], below, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
