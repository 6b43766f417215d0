"""The GPU worker as its own process, asked over the real broker as the trading loop asks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings

from controlplane.celery import app
from tests.support.forecasting import mean_reverting, packed, small_dataset, trained_on
from tests.support.stack import eventually
from workers.adapters.model_store import ModelStore

STREAM = "gekko:forecast:process-test"
COMMAND = [sys.executable, "-m", "celery", "-A", "controlplane", "worker", "-Q", "gpu", "--pool", "threads", "-c", "2",
           "-n", "gpu-test@%h", "-I", "workers.live.gpu_worker"]  # fmt: skip


@pytest.fixture(scope="module")
def client(embedded_services: None) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.REDIS_URL) as connection:
        connection.delete(STREAM, "gpu", "gekko:heartbeat")
        yield connection


@pytest.fixture(scope="module")
def digest(embedded_services: None) -> str:
    dataset = small_dataset(mean_reverting(900))
    return ModelStore(settings.GEKKO_STATE_DIR / "models").save(packed(dataset, trained_on(dataset))[0])


@pytest.fixture(scope="module")
def worker(client: redis.Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    """The worker, up: its heartbeat is there. Its own database is empty, which must not keep it from forecasting."""
    log = tmp_path_factory.mktemp("gpu") / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            COMMAND, cwd=Path(__file__).parents[2], env=dict(os.environ), stdout=output, stderr=output
        )
    try:
        eventually(lambda: client.hexists("gekko:heartbeat", "gpu"), f"heartbeat of the worker, see {log}")
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(20)


def ask(request_id: str, digest: str, *, interval_ns: int = 60_000_000_000) -> None:
    request = {
        "request_id": request_id,
        "model_digest": digest,
        "reply_to": STREAM,
        "as_of": time.time_ns(),
        "interval_ns": interval_ns,
        "instruments": {"BTCUSDT": [100.0 + i % 3 for i in range(16)]},
        "sent_at": time.time_ns(),
    }
    app.send_task("gekko.forecast.predict", [request], expires=60)


def replies(client: redis.Redis) -> dict[str, dict[str, Any]]:
    entries: Any = client.xrange(STREAM)
    decoded = [json.loads(fields[b"data"]) for _, fields in entries]
    return {reply["request_id"]: reply for reply in decoded}


def reply_to(client: redis.Redis, request_id: str) -> dict[str, Any]:
    return eventually(lambda: replies(client).get(request_id, {}), f"reply to {request_id}")


def test_a_forecast_comes_back_over_the_broker(client: redis.Redis, digest: str, worker: object) -> None:
    ask("first", digest)
    reply = reply_to(client, "first")
    assert reply["forecasts"][0]["symbol"] == "BTCUSDT"
    assert reply["forecasts"][0]["model_digest"] == digest
    beat = json.loads(client.hget("gekko:heartbeat", "gpu") or b"")
    assert beat["detail"]["device"].startswith(("cpu", "mps", "cuda"))


def test_a_worker_that_was_paused_does_not_compute_what_it_missed(
    client: redis.Redis, digest: str, worker: subprocess.Popen[bytes]
) -> None:
    ask("before", digest)
    assert "forecasts" in reply_to(client, "before")
    worker.send_signal(signal.SIGSTOP)
    ask("missed", digest, interval_ns=100_000_000)
    ask("fresh", digest)
    time.sleep(0.5)
    worker.send_signal(signal.SIGCONT)
    assert "forecasts" in reply_to(client, "fresh")
    missed = reply_to(client, "missed")
    assert "past its deadline" in missed["error"]
    assert "forecasts" not in missed
