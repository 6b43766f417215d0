"""Tasks of the queue ``gpu``: forecast, train, load."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import msgspec
import redis
from django.conf import settings
from prometheus_client import Counter, Histogram

from controlplane.celery import app
from workers.live import training
from workers.live.gpu_process import member
from workers.live.model_host import LOAD_ERRORS, ForecastError, ForecastReply, ForecastRequest, StaleRequest

REPLIES_KEPT = 100
_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
COMPUTE = Histogram("gekko_forecast_compute_seconds", "From receipt to finished forecasts", buckets=_BUCKETS)
QUEUED = Histogram("gekko_forecast_queue_seconds", "From sending to receipt of a request", buckets=_BUCKETS)
REQUESTS = Counter("gekko_forecast_requests_total", "Forecast requests by outcome", ["outcome"])


@cache
def _replies() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


# Acknowledged at once: a request that was lost with its worker is stale by the time another could have it.
@app.task(name="gekko.forecast.predict", ignore_result=True, acks_late=False)  # type: ignore[untyped-decorator]  # celery has no types
def predict(request: dict[str, Any]) -> None:
    """Forecast one batch and add the reply to the stream ``reply_to``: forecasts, or in words why there are none."""
    reply = answer(request)
    outcome = "ok" if isinstance(reply, ForecastReply) else "refused"
    REQUESTS.labels(outcome).inc()
    if isinstance(reply, ForecastReply):
        COMPUTE.observe(reply.compute_ns / 1e9)
        QUEUED.observe(reply.queue_ns / 1e9)
    if stream := request.get("reply_to"):
        _replies().xadd(stream, {"data": msgspec.json.encode(reply)}, maxlen=REPLIES_KEPT, approximate=True)


def answer(request: dict[str, Any]) -> ForecastReply | ForecastError:
    """The forecasts, or why there are none."""
    try:
        asked = msgspec.convert(request, ForecastRequest)
        return member().host.forecast(asked, time.time_ns)
    except (msgspec.ValidationError, StaleRequest, *LOAD_ERRORS) as error:
        return ForecastError(request_id=str(request.get("request_id", "")), error=f"{type(error).__name__}: {error}")


@app.task(name="gekko.forecast.load")  # type: ignore[untyped-decorator]  # celery has no types
def load(digest: str) -> dict[str, Any]:
    """Warm a model up and check its known answers; raises when it cannot be loaded, and keeps what was loaded."""
    loaded = member().load(digest)
    return {"digest": digest, "warm_ms": loaded.warm_ms, "golden_off": loaded.golden_off}


@app.task(bind=True, name="gekko.forecast.train", acks_late=False)  # type: ignore[untyped-decorator]  # celery has no types
def train(self: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """Train, measure, register and warm up a model; state PROGRESS carries how far it is."""

    def report(progress: training.Stage) -> None:
        if self.request.id and not self.request.called_directly:
            self.update_state(state="PROGRESS", meta=msgspec.to_builtins(progress))

    return training.run(spec, member(), report)
