"""Training: gathered windows, pinball loss, the best weights on the validation part, calibrated on a later one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from torch import Tensor

from workers.engine.forecast import calibration
from workers.engine.forecast.config import NHitsConfig, TrainConfig
from workers.engine.forecast.forecaster import Forecaster
from workers.engine.forecast.nhits import NHits, build
from workers.engine.forecast.quantiles import pinball
from workers.engine.forecast.windows import VOLATILITY_FLOOR, DataError, Dataset, Floats, Indices

MOST_LOOKED_AT = 4096
"""Windows of the validation part that one look uses, spread evenly over it."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a training stands; losses are pinball in window volatilities. Step 0 is the naive forecast."""

    step: int
    steps: int
    train_loss: float
    validation_loss: float
    best_loss: float
    naive_loss: float
    elapsed_s: float


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A calibrated model, and how it came to be. ``ended`` is steps, patience or budget."""

    forecaster: Forecaster
    best_step: int
    steps: int
    best_loss: float
    naive_loss: float
    ended: str


Report = Callable[[Progress], None]
Elapsed = Callable[[], float]


def train(
    dataset: Dataset,
    model: NHitsConfig,
    training: TrainConfig,
    *,
    elapsed: Elapsed,
    report: Report | None = None,
) -> Trained:
    """Train on the CPU. ``elapsed`` gives seconds since the start; past ``budget_s`` the best so far is taken.

    Deterministic for a seed, configuration and data unless the budget ends it. Threads are set for the run and put
    back: more threads than free cores make every step many times slower.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(training.threads)
    try:
        run = _Run(dataset, build(model, training.seed), training)
        ended = run.loop(elapsed, report or _silent)
    finally:
        torch.set_num_threads(threads)
    run.network.load_state_dict(run.best_weights)
    return Trained(
        forecaster=calibrated(run.network, dataset),
        best_step=run.best_step,
        steps=run.step,
        best_loss=run.best_loss,
        naive_loss=run.naive_loss,
        ended=ended,
    )


def calibrated(network: NHits, dataset: Dataset) -> Forecaster:
    """The network with intervals from the calibration part of ``dataset``."""
    config = network.config
    identity = tuple((1.0,) * config.horizon for _ in range(config.median))
    raw = Forecaster(network, calibration.Calibration(factors=identity, windows=0))
    inputs, scale, target = dataset.take(dataset.calibration)
    fitted = calibration.fit(raw.units(inputs), target / scale[:, None], config.levels)
    return Forecaster(network, fitted)


class _Run:
    """The state of one training."""

    def __init__(self, dataset: Dataset, network: NHits, training: TrainConfig) -> None:
        self.dataset, self.network, self.training = dataset, network, training
        self.levels = torch.tensor(network.config.levels)
        self.starts = _moving(dataset, dataset.train, "training")
        looked_at = _spread(_moving(dataset, dataset.validation, "validation"), MOST_LOOKED_AT)
        self.validation = self._tensors(looked_at)
        self.generator = np.random.Generator(np.random.PCG64(training.seed))
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=training.rate, weight_decay=training.weight_decay)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, training.steps)
        self.step = self.best_step = 0
        self.naive_loss = self.best_loss = self._look()
        self.best_weights = copy.deepcopy(network.state_dict())

    def loop(self, elapsed: Elapsed, report: Report) -> str:
        """Step until the steps, the patience or the budget is used up; return which."""
        without_gain, total = 0, 0.0
        while self.step < self.training.steps:
            self.step += 1
            total += self._step()
            if self.step % self.training.every:
                continue
            loss = self._look()
            without_gain = 0 if loss < self.best_loss else without_gain + 1
            if loss < self.best_loss:
                self.best_loss, self.best_step = loss, self.step
                self.best_weights = copy.deepcopy(self.network.state_dict())
            report(self._progress(total / self.training.every, loss, elapsed()))
            total = 0.0
            if without_gain >= self.training.patience:
                return "patience"
            if elapsed() >= self.training.budget_s:
                return "budget"
        return "steps"

    def _step(self) -> float:
        chosen = self.generator.integers(0, len(self.starts), self.training.batch)
        inputs, target = self._tensors(self.starts[chosen])
        limit = self.training.target_clip
        loss = pinball(self.network(inputs), target.clamp(-limit, limit), self.levels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        return float(loss.detach())

    def _look(self) -> float:
        with torch.inference_mode():
            inputs, target = self.validation
            return float(pinball(self.network(inputs), target, self.levels))

    def _tensors(self, starts: Indices) -> tuple[Tensor, Tensor]:
        inputs, scale, target = self.dataset.take(starts)
        return torch.from_numpy(inputs), torch.from_numpy((target / scale[:, None]).astype(np.float32))

    def _progress(self, train_loss: float, loss: float, elapsed_s: float) -> Progress:
        return Progress(
            step=self.step,
            steps=self.training.steps,
            train_loss=train_loss,
            validation_loss=loss,
            best_loss=self.best_loss,
            naive_loss=self.naive_loss,
            elapsed_s=elapsed_s,
        )


def _moving(dataset: Dataset, starts: Indices, part: str) -> Indices:
    """The windows that move: one that stands still has no volatility to measure its target in."""
    scale: Floats = np.concatenate(
        [dataset.take(chunk)[1] for chunk in np.array_split(starts, len(starts) // 8192 + 1)]
    )
    moving = starts[scale > VOLATILITY_FLOOR]
    if not len(moving):
        raise DataError(f"expected windows whose price moves, all {len(starts)} of the {part} part stand still")
    return moving


def _spread(starts: Indices, most: int) -> Indices:
    """At most ``most`` of ``starts``, evenly spread and in order."""
    if len(starts) <= most:
        return starts
    return starts[np.linspace(0, len(starts) - 1, most).astype(np.int64)]


def _silent(_: Progress) -> None:
    """Progress that nobody watches."""
