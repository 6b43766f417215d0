"""Forecasts for a backtest: the stored model computes at the simulated time it is asked, and answers after a delay."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import torch

from workers.adapters.model_store import ModelStore
from workers.backtest.config import BacktestError
from workers.backtest.simulator import Forecaster
from workers.engine.events import Forecast
from workers.engine.ports import RequestForecast
from workers.live.model_host import LOAD_ERRORS, ForecastRequest, ModelHost


def model_folder() -> Path:
    """Where the desk keeps its models: ``models`` in the installation's state folder."""
    return Path(os.environ.get("GEKKO_STATE_DIR") or Path(__file__).resolve().parents[2] / ".gekko") / "models"


def forecaster_of(digest: str, *, folder: Path | None = None, delay_ns: int = 0) -> Forecaster:
    """Answers with the model ``digest``, ``delay_ns`` after each request; BacktestError when it cannot be had.

    It computes on the CPU with one thread, which gives the same numbers every time.
    """
    torch.set_num_threads(1)
    host = ModelHost(ModelStore(folder or model_folder()))
    try:
        host.load(digest)
    except LOAD_ERRORS as error:
        raise BacktestError(f"model {digest[:12]}: {error}") from error

    def answer(request: RequestForecast, now: int) -> Iterable[Forecast]:
        asked = ForecastRequest(
            request_id=f"backtest-{request.as_of}",
            model_digest=digest,
            reply_to="",
            as_of=request.as_of,
            interval_ns=request.interval_ns,
            instruments={symbol: list(closes) for symbol, closes in request.closes.items()},
            sent_at=now,
        )
        return host.forecast(asked, lambda: now + delay_ns).forecasts

    return answer
