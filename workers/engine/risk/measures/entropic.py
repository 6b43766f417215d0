"""Entropic value at risk: the tightest bound on the tail that the Chernoff inequality gives."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from workers.engine.risk.measures.conventions import series, tail_share


def evar(results: npt.ArrayLike, confidence: float) -> float:
    """``min over z > 0 of z ln(E[exp(-r / z)] / (1 - confidence))``; at least the expected shortfall.

    Ahmadi-Javid (2012), Entropic value-at-risk: a new coherent risk measure, definition 3.1.
    """
    values, share = series(results), tail_share(confidence)
    losses, offset = -values, math.log(values.size * share)
    worst, spread = float(losses.max()), float(losses.max() - losses.min())
    if spread == 0.0:
        return worst
    scaled = (losses - worst) / spread

    def bound(log_z: float) -> float:
        z = math.exp(log_z)
        return z * (float(logsumexp(scaled / z)) - offset)

    found = minimize_scalar(bound, bounds=(-12.0, 12.0), method="bounded", options={"xatol": 1e-10})
    # As z falls to zero the bound tends to the worst loss, which it must never exceed.
    return worst + spread * min(float(np.real(found.fun)), 0.0)
