"""Small series, models and trainings for tests. The series are SYNTHETIC."""

from __future__ import annotations

import numpy as np

from workers.engine.forecast.artifact import FORMAT, Artifact, Manifest, Provenance, pack
from workers.engine.forecast.calibration import Calibration
from workers.engine.forecast.config import NHitsConfig, TrainConfig
from workers.engine.forecast.evaluate import Metrics, evaluate
from workers.engine.forecast.forecaster import Forecaster
from workers.engine.forecast.golden import make_golden
from workers.engine.forecast.nhits import build
from workers.engine.forecast.train import Trained, train
from workers.engine.forecast.windows import Dataset, Floats, build_dataset

SMALL = NHitsConfig(input_size=16, horizon=4, pool=(4, 1), downsample=(4, 1), hidden=16)
SHORT = TrainConfig(steps=60, every=20, batch=64)


def random_walk(bars: int, seed: int = 1, volatility: float = 0.001) -> Floats:
    """SYNTHETIC closes whose log returns are independent and Gaussian: nothing in them can be forecast."""
    moves = np.random.Generator(np.random.PCG64(seed)).normal(0, volatility, bars)
    closes: Floats = 100 * np.exp(np.cumsum(moves))
    return closes


def mean_reverting(bars: int, seed: int = 1) -> Floats:
    """SYNTHETIC closes that swing around a level, so that a model can have skill."""
    noise = np.random.Generator(np.random.PCG64(seed)).normal(0, 0.0003, bars)
    closes: Floats = 100 * np.exp(0.01 * np.sin(np.arange(bars) * 2 * np.pi / 12) + noise)
    return closes


def untrained(config: NHitsConfig = SMALL, seed: int = 1) -> Forecaster:
    """The naive forecast: zero-initialised heads, no calibration."""
    ones = tuple((1.0,) * config.horizon for _ in range(config.median))
    return Forecaster(build(config, seed), Calibration(factors=ones, windows=0))


def small_dataset(closes: Floats, training: TrainConfig = SHORT) -> Dataset:
    return build_dataset({"S": closes}, SMALL, training)


def trained_on(dataset: Dataset, training: TrainConfig = SHORT) -> Trained:
    return train(dataset, SMALL, training, elapsed=lambda: 0.0)


def packed(dataset: Dataset, trained: Trained) -> tuple[Artifact, Metrics]:
    """The artifact of a training on SYNTHETIC data."""
    metrics = evaluate(trained.forecaster, dataset)
    manifest = Manifest(
        format=FORMAT,
        name="test",
        model=SMALL,
        training=SHORT,
        calibration=trained.forecaster.calibration,
        metrics=metrics,
        data=(Provenance(name="S", source="SYNTHETIC", sha256="", rows=0, interval_ns=1, start=0, end=0),),
        best_step=trained.best_step,
        ended=trained.ended,
    )
    return pack(trained.forecaster, make_golden(trained.forecaster, dataset), manifest), metrics
