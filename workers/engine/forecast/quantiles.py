"""Quantiles that cannot cross, their loss, and what confidence they give."""

from __future__ import annotations

import itertools
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from workers.engine.forecast.windows import Floats

UNIT_SOFTPLUS = 0.5413248546129181
"""softplus of this is 1, so that a raw zero leaves a width as it was."""


def random_walk_steps(levels: tuple[float, ...], horizon: int) -> Tensor:
    """Distances between neighbouring quantiles of a Gaussian random walk, (levels - 1, horizon).

    In units of the one-bar volatility; step ``h`` has standard deviation sqrt(h + 1).
    """
    z = [NormalDist().inv_cdf(level) for level in levels]
    gaps = torch.tensor([high - low for low, high in itertools.pairwise(z)])
    return gaps[:, None] * torch.sqrt(torch.arange(1, horizon + 1, dtype=torch.float32))[None, :]


def assemble(raw: Tensor, steps: Tensor, median: int) -> Tensor:
    """Raw outputs (n, levels, horizon) as quantiles of the same shape that never fall with their level.

    The median is taken as it is; every other level adds a positive step outwards from its neighbour. Zero gives the
    random walk around the last value.
    """
    centre = raw[:, median : median + 1]
    below = functional.softplus(raw[:, :median] + UNIT_SOFTPLUS) * steps[:median]
    above = functional.softplus(raw[:, median + 1 :] + UNIT_SOFTPLUS) * steps[median:]
    lower = centre - below.flip(1).cumsum(1).flip(1)
    upper = centre + above.cumsum(1)
    return torch.cat([lower, centre, upper], dim=1)


def pinball(quantiles: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Mean pinball loss of quantiles (n, levels, horizon) for a target (n, horizon) (Koenker and Bassett 1978)."""
    error = target[:, None, :] - quantiles
    weight = levels[None, :, None]
    return torch.maximum(weight * error, (weight - 1) * error).mean()


def sign_confidence(quantiles: Floats, levels: tuple[float, ...]) -> Floats:
    """Probability that a move has the sign of its median, for quantiles (n, levels) of that move.

    The distribution function is interpolated linearly between the levels and never believed beyond the outermost:
    with levels to 0.95 no confidence exceeds 0.95. A median of exactly zero gives 0.5.
    """
    probabilities = np.asarray(levels)
    below = np.array([_interpolate(row, probabilities) for row in quantiles])
    median = quantiles[:, len(levels) // 2]
    return np.where(median == 0, 0.5, np.where(median > 0, 1 - below, below))


def _interpolate(row: Floats, probabilities: Floats) -> float:
    """P(move <= 0) by linear interpolation; equal neighbours count by the middle of their levels."""
    left, right = np.searchsorted(row, 0.0, "left"), np.searchsorted(row, 0.0, "right")
    if left != right:
        return float((probabilities[left] + probabilities[right - 1]) / 2)
    if left == 0:
        return float(probabilities[0])
    if left == len(row):
        return float(probabilities[-1])
    low, high = row[left - 1], row[left]
    part = -low / (high - low)
    return float(probabilities[left - 1] + part * (probabilities[left] - probabilities[left - 1]))
