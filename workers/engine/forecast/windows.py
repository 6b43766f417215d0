"""Windows of closes: how they are checked, normalised, cut from history and kept apart in time.

A window is seen as logarithms, centred on its last value and scaled by its own volatility, the root mean square of
its one-bar log returns. What the model sees and what it predicts are therefore free of the price's level and scale:
a forecast of zero is the last value, which on exchange rates is the forecast that is hardest to beat.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.engine.forecast.config import NHitsConfig, TrainConfig

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

VOLATILITY_FLOOR = 1e-8
"""Volatility, as a log return per bar, given to a window that does not move at all."""


class DataError(ValueError):
    """Prices that cannot be learned or forecast from; the message names the value and its place."""


def check_closes(closes: Floats, what: str) -> None:
    """DataError unless every close is finite and positive; names the first bad value, its place and ``what``."""
    bad = np.flatnonzero(~(np.isfinite(closes) & (closes > 0)).reshape(-1))
    if bad.size:
        value = closes.reshape(-1)[bad[0]]
        raise DataError(f"expected finite positive close, was {value} ({what}, bar {int(bad[0])})")


def volatility(logs: Floats) -> Floats:
    """Root mean square one-bar log return of each row, at least VOLATILITY_FLOOR. Shape (n, bars) to (n,)."""
    moves = np.diff(logs, axis=1)
    scale: Floats = np.maximum(np.sqrt(np.mean(moves * moves, axis=1)), VOLATILITY_FLOOR)
    return scale


def normalise(logs: Floats) -> tuple[Singles, Floats]:
    """Log closes (n, input) as centred and scaled single precision input, with each row's volatility (n,).

    The subtraction happens in double precision: a price's level takes most of the digits of a single.
    """
    scale = volatility(logs)
    return ((logs - logs[:, -1:]) / scale[:, None]).astype(np.float32), scale


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """History of several series end to end, and where the windows of each part start.

    No target bar belongs to two parts; the input of a window may reach back into the part before its own.
    """

    logs: Floats
    train: Indices
    validation: Indices
    calibration: Indices
    test: Indices
    input_size: int
    horizon: int

    def take(self, starts: Indices) -> tuple[Singles, Floats, Floats]:
        """Inputs (n, input), volatilities (n,) and targets (n, horizon) as log returns from each last close.

        Windows are gathered for the batch alone: memory does not grow with the history.
        """
        logs = self.logs[starts[:, None] + np.arange(self.input_size + self.horizon)]
        inputs, scale = normalise(logs[:, : self.input_size])
        return inputs, scale, logs[:, self.input_size :] - logs[:, self.input_size - 1 : self.input_size]

    def closes(self, starts: Indices) -> Floats:
        """The input windows as prices again, (n, input)."""
        closes: Floats = np.exp(self.logs[starts[:, None] + np.arange(self.input_size)])
        return closes


def build_dataset(series: Mapping[str, Floats], model: NHitsConfig, training: TrainConfig) -> Dataset:
    """Cut each series in time into training, validation, calibration and test.

    DataError when a close is not finite and positive, or when any part is left without a window.
    """
    parts: tuple[list[Indices], ...] = ([], [], [], [])
    logs: list[Floats] = []
    offset = 0
    for name, closes in series.items():
        check_closes(closes, name)
        for found, starts in zip(parts, _starts(len(closes), model, training), strict=True):
            found.append(starts + offset)
        logs.append(np.log(closes))
        offset += len(closes)
    joined = [np.concatenate(found) if found else np.empty(0, np.int64) for found in parts]
    if min(len(starts) for starts in joined) == 0:
        raise DataError(
            f"expected at least {minimum_bars(model, training)} closes in one series, was "
            f"{max((len(closes) for closes in series.values()), default=0)} in the longest of {len(series)}"
        )
    train, validation, calibration, test = joined
    return Dataset(
        logs=np.concatenate(logs),
        train=train,
        validation=validation,
        calibration=calibration,
        test=test,
        input_size=model.input_size,
        horizon=model.horizon,
    )


def minimum_bars(model: NHitsConfig, training: TrainConfig) -> int:
    """Closes that one series needs so that every part holds at least one window."""
    share = min(training.validation, training.calibration, training.test)
    rest = 1 - training.validation - training.calibration - training.test
    return int(max((model.horizon + 1) / share, (model.input_size + model.horizon) / rest)) + 1


def _starts(bars: int, model: NHitsConfig, training: TrainConfig) -> list[Indices]:
    """First bars of the windows of each part, in the order training, validation, calibration, test."""
    test = int(bars * (1 - training.test))
    calibration = int(bars * (1 - training.test - training.calibration))
    validation = int(bars * (1 - training.test - training.calibration - training.validation))
    edges = [model.input_size, validation, calibration, test, bars]
    return [
        np.arange(max(low, model.input_size), high - model.horizon + 1, dtype=np.int64) - model.input_size
        for low, high in itertools.pairwise(edges)
    ]
