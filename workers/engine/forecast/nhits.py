"""N-HiTS: neural hierarchical interpolation (Challu et al. 2023), with quantile heads.

Each stack looks at its input at its own rate (max pooling), explains a part of it (the backcast, taken away before
the next stack) and adds a part of the forecast through few knots, interpolated linearly to the horizon: slow stacks
can only say slow things. Output heads start at zero, so that an untrained model is the naive forecast.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.engine.forecast.config import NHitsConfig
from workers.engine.forecast.quantiles import assemble, random_walk_steps


class Stack(nn.Module):
    """Pooling, MLP, backcast and interpolated forecast of one rate."""

    knots_to_horizon: Tensor

    def __init__(self, config: NHitsConfig, index: int) -> None:
        super().__init__()
        self.pool = config.pool[index]
        self.knots = max(config.horizon // config.downsample[index], 1)
        self.levels = len(config.levels)
        width = -(-config.input_size // self.pool)
        sizes = [width, *[config.hidden] * config.layers]
        layers = [module for a, b in itertools.pairwise(sizes) for module in (nn.Linear(a, b), nn.ReLU())]
        self.mlp = nn.Sequential(*layers)
        last = index == len(config.pool) - 1
        self.backcast = None if last else nn.Linear(config.hidden, config.input_size)
        self.forecast = nn.Linear(config.hidden, self.levels * self.knots)
        nn.init.zeros_(self.forecast.weight)
        nn.init.zeros_(self.forecast.bias)
        unit = torch.eye(self.knots)[None]
        spread = functional.interpolate(unit, size=config.horizon, mode="linear", align_corners=False)[0]
        self.register_buffer("knots_to_horizon", spread, persistent=False)

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Window (n, input) to what is left of it and the raw forecast (n, levels, horizon)."""
        pooled = window
        if self.pool > 1:
            pooled = functional.max_pool1d(window[:, None], self.pool, ceil_mode=True)[:, 0]
        hidden = self.mlp(pooled)
        raw = self.forecast(hidden).view(-1, self.levels, self.knots) @ self.knots_to_horizon
        rest = window if self.backcast is None else window - self.backcast(hidden)
        return rest, raw


class NHits(nn.Module):
    """Normalised windows (n, input) to quantiles (n, levels, horizon) of the return in units of window volatility."""

    steps: Tensor

    def __init__(self, config: NHitsConfig) -> None:
        super().__init__()
        self.config = config
        self.stacks = nn.ModuleList(Stack(config, index) for index in range(len(config.pool)))
        self.register_buffer("steps", random_walk_steps(config.levels, config.horizon), persistent=False)

    def forward(self, window: Tensor) -> Tensor:
        rest = window
        total = window.new_zeros(())
        for stack in self.stacks:
            rest, raw = stack(rest)
            total = total + raw
        return assemble(total, self.steps, self.config.median)


def build(config: NHitsConfig, seed: int) -> NHits:
    """A fresh model whose weights depend on ``seed`` alone; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NHits(config)
