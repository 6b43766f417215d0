"""The models that this process has on its device, and the path of one forecast request through them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns

import msgspec
import numpy as np
import torch

from workers.adapters.model_store import ModelStore
from workers.engine.events import Forecast
from workers.engine.forecast.artifact import ArtifactError, unpack
from workers.engine.forecast.forecaster import Forecaster
from workers.engine.forecast.golden import Golden, GoldenMismatch, check_golden
from workers.engine.forecast.windows import DataError

MOST_LOADED = 4
WARM_ROUNDS = 3
FRESH_BARS = 2
"""A request that waited longer than this many of its bars is not computed: its answer would be refused anyway."""


class StaleRequest(Exception):
    """A request that is past its deadline."""


class ForecastRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One batch: closes per symbol, oldest first, in the quote asset. Times in ns."""

    request_id: str
    model_digest: str
    reply_to: str
    as_of: int
    interval_ns: int
    instruments: dict[str, list[float]]
    sent_at: int
    deadline: int = 0
    """By our clock; 0 for FRESH_BARS bars after ``sent_at``."""

    @property
    def expires_at(self) -> int:
        return self.deadline or self.sent_at + FRESH_BARS * self.interval_ns


class ForecastReply(msgspec.Struct, frozen=True, kw_only=True):
    """``queue_ns`` from sending to our hands, ``compute_ns`` from there to the finished forecasts."""

    request_id: str
    forecasts: tuple[Forecast, ...]
    queue_ns: int
    compute_ns: int


class ForecastError(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no forecast, in words."""

    request_id: str
    error: str


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A warm model. ``golden_off`` is its largest difference from its known answers, in window volatilities."""

    forecaster: Forecaster
    golden: Golden
    warm_ms: float
    golden_off: float


LOAD_ERRORS = (ArtifactError, GoldenMismatch, DataError, RuntimeError)


class ModelHost:
    """Warm models by digest, the least recently used dropped first. Threads may share it: one infers at a time."""

    def __init__(self, store: ModelStore, device: torch.device | str = "cpu", most: int = MOST_LOADED) -> None:
        self.store = store
        self.device = torch.device(device)
        self.most = most
        self._models: OrderedDict[str, Loaded] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def digests(self) -> tuple[str, ...]:
        """What is warm now, most recently used last."""
        with self._lock:
            return tuple(self._models)

    def load(self, digest: str) -> Loaded:
        """Read, warm up and check a model, then swap it in; whatever fails leaves the loaded ones as they were."""
        forecaster, golden, _ = unpack(self.store.load(digest), digest, self.device)
        began = perf_counter()
        with self._lock:
            for _ in range(WARM_ROUNDS):
                off = check_golden(forecaster, golden)
            loaded = Loaded(
                forecaster=forecaster, golden=golden, warm_ms=(perf_counter() - began) * 1000, golden_off=off
            )
            self._models[digest] = loaded
            self._models.move_to_end(digest)
            while len(self._models) > self.most:
                self._models.popitem(last=False)
        return loaded

    def get(self, digest: str) -> Loaded:
        """The warm model, loaded now when it is not yet."""
        with self._lock:
            if loaded := self._models.get(digest):
                self._models.move_to_end(digest)
                return loaded
        return self.load(digest)

    def check(self) -> float:
        """Known answers of every warm model through the path that requests take; the largest difference."""
        with self._lock:
            return max(
                (check_golden(loaded.forecaster, loaded.golden) for loaded in self._models.values()), default=0.0
            )

    def forecast(self, request: ForecastRequest, now: Callable[[], int]) -> ForecastReply:
        """All instruments of ``request`` in one batch.

        StaleRequest when its deadline has passed; DataError naming the symbol and value of bad input; ArtifactError
        or GoldenMismatch when the model cannot be had.
        """
        received = now()
        if received > request.expires_at:
            raise StaleRequest(f"the request is {(received - request.expires_at) / 1e6:.0f} ms past its deadline")
        began = perf_counter_ns()
        loaded = self.get(request.model_digest)
        symbols = tuple(request.instruments)
        closes = _batch(request, loaded.forecaster.config.input_size)
        with self._lock:
            prediction = loaded.forecaster.predict(closes, symbols)
        made_at = now()
        forecasts = tuple(
            Forecast(
                forecast_id=f"{request.request_id}:{symbol}",
                symbol=symbol,
                model_digest=request.model_digest,
                as_of=request.as_of,
                made_at=made_at,
                interval_ns=request.interval_ns,
                levels=loaded.forecaster.config.levels,
                quantiles=tuple(map(tuple, quantiles)),
                confidence=confidence,
            )
            for symbol, quantiles, confidence in zip(
                symbols, prediction.quantiles.tolist(), prediction.confidence.tolist(), strict=True
            )
        )
        return ForecastReply(
            request_id=request.request_id,
            forecasts=forecasts,
            queue_ns=max(received - request.sent_at, 0),
            compute_ns=perf_counter_ns() - began,
        )


def _batch(request: ForecastRequest, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if not request.instruments:
        raise DataError("expected closes of at least one instrument, was none")
    for symbol, closes in request.instruments.items():
        if len(closes) != size:
            raise DataError(f"expected {size} closes of {symbol}, was {len(closes)}; the model's input has that length")
    return np.array(list(request.instruments.values()), np.float64)
