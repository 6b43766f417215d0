"""What a model is worth on the test part, always beside the last value and a ridge regression."""

from __future__ import annotations

import msgspec
import numpy as np

from workers.engine.forecast import calibration as conformal
from workers.engine.forecast.config import NHitsConfig
from workers.engine.forecast.forecaster import Forecaster
from workers.engine.forecast.nhits import build
from workers.engine.forecast.train import calibrated
from workers.engine.forecast.windows import VOLATILITY_FLOOR, Dataset, Floats, Indices, Singles

CHUNK = 4096
PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Errors of log returns over all steps of the test windows.

    Skill is 1 - error / error of the peer: 0 is no better than the peer, negative is worse. ``coverage[i]`` is the
    share of outcomes within the pair of levels ``i`` (outermost first), which ``claimed[i]`` names. ``pinball`` is in
    window volatilities; its naive peer is a random walk whose intervals were calibrated in the same way.
    """

    windows: int
    mae: float
    mae_naive: float
    mae_ridge: float
    mse: float
    mse_naive: float
    mse_ridge: float
    skill_mae: float
    skill_mse: float
    skill_mse_against_ridge: float
    pinball: float
    pinball_naive: float
    skill_pinball: float
    claimed: tuple[float, ...]
    coverage: tuple[float, ...]
    sign_hits: float
    """Share of windows whose move over the horizon has the sign of the median; moves of zero are left out."""


def evaluate(forecaster: Forecaster, dataset: Dataset) -> Metrics:
    """Measure ``forecaster`` on the test part of ``dataset``; nothing of it was used to make the model."""
    config = forecaster.config
    inputs, scale, target = dataset.take(dataset.test)
    units = _calibrated_units(forecaster, inputs)
    naive = _calibrated_units(calibrated(build(config, 0), dataset), inputs)
    ridge = _Ridge(dataset)(inputs) * scale[:, None]
    median = units[:, config.median] * scale[:, None]
    outcome = target / scale[:, None]
    moved = scale > VOLATILITY_FLOOR
    loss, naive_loss = (_pinball(part[moved], outcome[moved], config.levels) for part in (units, naive))
    mse, mse_naive, mse_ridge = (_mse(target - guess) for guess in (median, np.zeros_like(median), ridge))
    mae, mae_naive, mae_ridge = (_mae(target - guess) for guess in (median, np.zeros_like(median), ridge))
    return Metrics(
        windows=len(target),
        mae=mae,
        mae_naive=mae_naive,
        mae_ridge=mae_ridge,
        mse=mse,
        mse_naive=mse_naive,
        mse_ridge=mse_ridge,
        skill_mae=_skill(mae, mae_naive),
        skill_mse=_skill(mse, mse_naive),
        skill_mse_against_ridge=_skill(mse, mse_ridge),
        pinball=loss,
        pinball_naive=naive_loss,
        skill_pinball=_skill(loss, naive_loss),
        claimed=tuple(round(config.levels[-1 - i] - config.levels[i], 12) for i in range(config.median)),
        coverage=_coverage(units, outcome, config),
        sign_hits=_sign_hits(median[:, -1], target[:, -1]),
    )


def _calibrated_units(forecaster: Forecaster, inputs: Singles) -> Floats:
    chunks = [forecaster.units(inputs[at : at + CHUNK]) for at in range(0, len(inputs), CHUNK)]
    return conformal.apply(forecaster.calibration, np.concatenate(chunks))


def _pinball(units: Floats, outcome: Floats, levels: tuple[float, ...]) -> float:
    weight = np.asarray(levels)[None, :, None]
    error = outcome[:, None, :] - units
    return float(np.maximum(weight * error, (weight - 1) * error).mean())


def _coverage(units: Floats, outcome: Floats, config: NHitsConfig) -> tuple[float, ...]:
    return tuple(
        float(((outcome >= units[:, pair]) & (outcome <= units[:, -1 - pair])).mean()) for pair in range(config.median)
    )


def _sign_hits(median: Floats, move: Floats) -> float:
    counted = (move != 0) & (median != 0)
    return float((np.sign(median[counted]) == np.sign(move[counted])).mean()) if counted.any() else 0.5


def _mse(error: Floats) -> float:
    return float(np.mean(error * error))


def _mae(error: Floats) -> float:
    return float(np.mean(np.abs(error)))


def _skill(error: float, peer: float) -> float:
    return 1 - error / peer if peer > 0 else 0.0


class _Ridge:
    """Ridge regression on normalised windows, its penalty chosen on the validation part."""

    def __init__(self, dataset: Dataset) -> None:
        gram, moment = _moments(dataset, dataset.train)
        inputs, scale, target = dataset.take(dataset.validation)
        moved = scale > VOLATILITY_FLOOR
        outcome = (target / scale[:, None])[moved]
        fits = [np.linalg.solve(gram + penalty * np.eye(len(gram)), moment) for penalty in PENALTIES]
        fits.append(np.zeros_like(moment))
        self.weights = min(fits, key=lambda weights: _mse(outcome - inputs[moved] @ weights))

    def __call__(self, inputs: Singles) -> Floats:
        guess: Floats = inputs.astype(np.float64) @ self.weights
        return guess


def _moments(dataset: Dataset, starts: Indices) -> tuple[Floats, Floats]:
    """Gram matrix and cross moments of the training part, summed in chunks."""
    gram = np.zeros((dataset.input_size, dataset.input_size))
    moment = np.zeros((dataset.input_size, dataset.horizon))
    for at in range(0, len(starts), CHUNK):
        inputs, scale, target = dataset.take(starts[at : at + CHUNK])
        moved = scale > VOLATILITY_FLOOR
        x = inputs[moved].astype(np.float64)
        gram += x.T @ x
        moment += x.T @ (target[moved] / scale[moved, None])
    return gram, moment
