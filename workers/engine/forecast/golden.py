"""Known answers that travel with a model: a load is good when the device gives them again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workers.engine.forecast.forecaster import Forecaster
from workers.engine.forecast.windows import Dataset, Floats, volatility

CASES = 8
TOLERANCE = 1e-4
"""Largest difference in window volatilities: above the rounding of other devices, below anything that trades."""


class GoldenMismatch(ValueError):
    """A loaded model does not give its known answers."""


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Closes (cases, input) and the calibrated quantiles (cases, levels, horizon) they must give."""

    closes: Floats
    quantiles: Floats


def make_golden(forecaster: Forecaster, dataset: Dataset) -> Golden:
    """Known answers on windows spread evenly over the test part."""
    chosen = np.linspace(0, len(dataset.test) - 1, CASES).astype(np.int64)
    closes = dataset.closes(dataset.test[chosen])
    return Golden(closes=closes, quantiles=forecaster.predict(closes).quantiles)


def check_golden(forecaster: Forecaster, golden: Golden) -> float:
    """Largest difference in window volatilities; GoldenMismatch above TOLERANCE."""
    found = forecaster.predict(golden.closes).quantiles
    scale = volatility(np.log(golden.closes))[:, None, None]
    worst = float(np.max(np.abs(found - golden.quantiles) / scale))
    if not worst <= TOLERANCE:
        raise GoldenMismatch(f"expected known answers within {TOLERANCE} volatilities, was {worst:.3g} off")
    return worst
