"""A trained model at work: closes in, calibrated quantiles of log returns out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from workers.engine.forecast import calibration as conformal
from workers.engine.forecast.calibration import Calibration
from workers.engine.forecast.nhits import NHits
from workers.engine.forecast.quantiles import sign_confidence
from workers.engine.forecast.windows import DataError, Floats, Singles, check_closes, normalise

SMALLEST_BATCH = 8
"""Batches are padded to this or the next power of two: few shapes keep every kernel the same and no pool growing."""


@dataclass(frozen=True)
class Prediction:
    """``quantiles`` (n, levels, horizon) are log returns from each last close; ``confidence`` (n,) is of their sign."""

    quantiles: Floats
    confidence: Floats


class Forecaster:
    """A model on a device with its calibration. Thread-safe: it only reads."""

    def __init__(self, model: NHits, calibration: Calibration, device: torch.device | str = "cpu") -> None:
        self.config = model.config
        self.calibration = calibration
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()

    def predict(self, closes: Floats, names: tuple[str, ...] = ()) -> Prediction:
        """Forecast from closes (n, input_size), oldest first.

        DataError names the value, series and bar when a close is not finite and positive, and the shape when it is
        not what the model takes.
        """
        size = self.config.input_size
        if closes.ndim != 2 or closes.shape[1] != size or not len(closes):
            raise DataError(f"expected closes of shape (n, {size}), was {closes.shape}")
        for index, row in enumerate(closes):
            check_closes(row, names[index] if names else f"row {index}")
        inputs, scale = normalise(np.log(closes))
        units = conformal.apply(self.calibration, self.units(inputs))
        quantiles: Floats = units * scale[:, None, None]
        return Prediction(quantiles, sign_confidence(quantiles[:, :, -1], self.config.levels))

    def units(self, inputs: Singles) -> Floats:
        """Uncalibrated quantiles of normalised windows (n, input), in window volatilities."""
        rows = len(inputs)
        padded = np.zeros((_bucket(rows), inputs.shape[1]), np.float32)
        padded[:rows] = inputs
        with torch.inference_mode():
            out = self.model(torch.from_numpy(padded).to(self.device))
        units: Floats = out[:rows].cpu().numpy().astype(np.float64)
        return units


def _bucket(rows: int) -> int:
    """The padded batch for ``rows`` windows."""
    return max(SMALLEST_BATCH, 1 << (rows - 1).bit_length())
