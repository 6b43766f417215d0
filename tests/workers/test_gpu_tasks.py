"""The tasks of the GPU queue, on real PostgreSQL and Valkey."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis

from apps.fleet.choices import LoadState, ModelState
from apps.fleet.models import ModelLoad, ModelVersion
from workers.adapters import devices
from workers.adapters.model_store import ModelStore
from workers.engine.events import Forecast
from workers.live import gpu_process
from workers.live.fleet_member import FleetMember
from workers.live.model_host import ModelHost
from workers.live.node_identity import node_id
from workers.tasks import gpu

MINUTE = 60_000_000_000
SPEC = {
    "name": "small",
    "sources": [{"kind": "sample"}],
    "model": {"input_size": 16, "horizon": 4, "pool": [4, 1], "downsample": [4, 1], "hidden": 16},
    "training": {"steps": 40, "every": 20},
}


@pytest.fixture
def member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FleetMember]:
    cpu = devices.discover()[-1]
    host = ModelHost(ModelStore(tmp_path / "models"), cpu.torch_device)
    made = FleetMember(host, cpu, node_id(tmp_path), "test", "0")
    monkeypatch.setattr(gpu, "member", lambda: made)
    return made


@pytest.fixture
def replies(valkey_url: str) -> Iterator[redis.Redis]:
    gpu._replies.cache_clear()
    with redis.Redis.from_url(valkey_url) as client:
        client.delete("gekko:forecast:test")
        yield client


def request(digest: str, **changes: object) -> dict[str, object]:
    return {
        "request_id": "r1",
        "model_digest": digest,
        "reply_to": "gekko:forecast:test",
        "as_of": 1,
        "interval_ns": MINUTE,
        "instruments": {"BTCUSDT": [100.0 + i % 3 for i in range(16)], "ETHUSDT": [10.0 + i % 2 for i in range(16)]},
        "sent_at": time.time_ns(),
        **changes,
    }


def read(client: redis.Redis) -> dict[str, object]:
    [(_, fields)] = client.xrevrange("gekko:forecast:test", count=1)
    return json.loads(fields[b"data"])


@pytest.mark.django_db
def test_training_registers_a_ready_model_that_then_forecasts(member: FleetMember, replies: redis.Redis) -> None:
    result = gpu.train.run(SPEC)
    model = ModelVersion.objects.get(digest=result["digest"])
    assert model.state == ModelState.READY
    assert model.data[0]["name"] == "EURUSD"
    assert "skill_mse" in model.metrics
    load = ModelLoad.objects.get(model=model)
    assert (load.state, load.golden_ok) == (LoadState.READY, True)

    gpu.predict.run(request(result["digest"]))
    reply = read(replies)
    assert reply["request_id"] == "r1"
    assert reply["queue_ns"] >= 0
    assert reply["compute_ns"] > 0
    forecasts = msgspec.convert(reply["forecasts"], list[Forecast])
    assert [forecast.symbol for forecast in forecasts] == ["BTCUSDT", "ETHUSDT"]
    for forecast in forecasts:
        assert len(forecast.quantiles) == 5
        assert all(len(steps) == 4 for steps in forecast.quantiles)
        assert all(low <= high for a, b in zip(forecast.quantiles, forecast.quantiles[1:]) for low, high in zip(a, b))
