"""Filtered historical simulation: history rescaled to the volatility of now."""

from __future__ import annotations

import math
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from workers.engine.risk.measures.conventions import MeasureError, Quantile, Tail, series
from workers.engine.risk.measures.tail import TailRisk, historical
from workers.engine.risk.measures.volatility import DECAY, ewma_variances, fit_garch


class Filter(StrEnum):
    """What foresees the volatility."""

    EWMA = "ewma"
    GARCH = "garch"


def filtered_historical(
    results: npt.ArrayLike,
    confidence: float,
    *,
    by: Filter = Filter.EWMA,
    decay: float = DECAY,
    quantile: Quantile = Quantile.LINEAR,
    tail: Tail = Tail.EXACT,
) -> TailRisk:
    """Each result divided by the volatility that was foreseen for it, times the one foreseen now.

    Hull and White (1998), Incorporating volatility updating into the historical simulation method; with GARCH as in
    Barone-Adesi, Giannopoulos and Vosper (1999), whose mean is kept. MeasureError when a foreseen variance is zero.
    """
    values = series(results)
    mean = 0.0
    if by is Filter.GARCH:
        fit = fit_garch(values)
        variances, ahead, mean = fit.variances, fit.next_variance, fit.mu
    else:
        foreseen = ewma_variances(values, decay=decay)
        variances, ahead = foreseen[:-1], float(foreseen[-1])
    if not (variances > 0.0).all():
        raise MeasureError(f"expected results that vary, the volatility of result {int(variances.argmin())} is 0")
    scaled = mean + (values - mean) * (math.sqrt(ahead) / np.sqrt(variances))
    return historical(scaled, confidence, quantile=quantile, tail=tail)
