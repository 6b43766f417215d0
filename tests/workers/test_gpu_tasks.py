"""The tasks of the GPU queue, on real PostgreSQL and Valkey."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import redis

from apps.core.errors import Invalid
from apps.fleet import services
from apps.fleet.choices import LoadState, ModelState
from apps.fleet.models import Device, ModelLoad, ModelVersion
from tests.support.forecasting import mean_reverting, packed, small_dataset, trained_on
from workers.adapters import devices
from workers.adapters.model_store import ModelStore
from workers.engine.events import Forecast
from workers.engine.forecast import golden
from workers.engine.forecast.golden import GoldenMismatch
from workers.live.fleet_member import FleetMember
from workers.live.model_host import ModelHost
from workers.live.node_identity import node_id
from workers.live.training import TrainingAborted
from workers.tasks import gpu

STREAM = "gekko:forecast:test"
MINUTE = 60_000_000_000
SPEC = {
    "name": "small",
    "sources": [{"kind": "sample"}],
    "model": {"input_size": 16, "horizon": 4, "pool": [4, 1], "downsample": [4, 1], "hidden": 16},
    "training": {"steps": 40, "every": 20},
}


@pytest.fixture
def member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetMember:
    cpu = devices.discover()[-1]
    host = ModelHost(ModelStore(tmp_path / "models"), cpu.torch_device)
    made = FleetMember(host, cpu, node_id(tmp_path), "test", "0")
    monkeypatch.setattr(gpu, "member", lambda: made)
    return made


@pytest.fixture
def model(member: FleetMember) -> str:
    """Digest of a small model in the store."""
    dataset = small_dataset(mean_reverting(900))
    return member.host.store.save(packed(dataset, trained_on(dataset))[0])


@pytest.fixture
def replies(valkey_url: str) -> Iterator[redis.Redis]:
    gpu._replies.cache_clear()
    with redis.Redis.from_url(valkey_url) as client:
        client.delete(STREAM)
        yield client
    gpu._replies().close()
    gpu._replies.cache_clear()


def request(digest: str, **changes: object) -> dict[str, Any]:
    return {
        "request_id": "r1",
        "model_digest": digest,
        "reply_to": STREAM,
        "as_of": 1,
        "interval_ns": MINUTE,
        "instruments": {"BTCUSDT": [100.0 + i % 3 for i in range(16)], "ETHUSDT": [10.0 + i % 2 for i in range(16)]},
        "sent_at": time.time_ns(),
        **changes,
    }


def read(client: redis.Redis) -> dict[str, Any]:
    newest: Any = client.xrevrange(STREAM, count=1)
    reply: dict[str, Any] = json.loads(newest[0][1][b"data"])
    return reply


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
        assert np.asarray(forecast.quantiles).shape == (5, 4)
        assert (np.diff(forecast.quantiles, axis=0) >= 0).all()


def test_the_reply_goes_to_the_stream_that_the_request_names(model: str, replies: redis.Redis) -> None:
    for _ in range(3):
        gpu.predict.run(request(model))
    assert replies.xlen(STREAM) == 3
    assert read(replies)["forecasts"][0]["model_digest"] == model


def test_a_request_past_its_deadline_is_never_inferred(member: FleetMember, model: str, replies: redis.Redis) -> None:
    gpu.predict.run(request(model, sent_at=time.time_ns() - 2 * MINUTE - 1))
    reply = read(replies)
    assert "past its deadline" in reply["error"]
    assert "forecasts" not in reply
    assert member.host.digests == ()
    gpu.predict.run(request(model, deadline=time.time_ns() - 1))
    assert "past its deadline" in read(replies)["error"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"instruments": {}}, "at least one instrument"),
        ({"instruments": {"BTCUSDT": [1.0] * 15}}, "expected 16 closes of BTCUSDT, was 15"),
        ({"instruments": {"BTCUSDT": [1.0] * 15 + [float("nan")]}}, "was nan (BTCUSDT, bar 15)"),
        ({"instruments": {"BTCUSDT": [1.0] * 15 + [-3.0]}}, "was -3.0 (BTCUSDT, bar 15)"),
        ({"instruments": {"BTCUSDT": ["1.0"] * 16}}, "`$.instruments[...][0]`"),
        ({"interval_ns": None}, "`$.interval_ns`"),
        ({"model_digest": "ab" * 32}, "there is no model"),
    ],
)
def test_what_cannot_be_forecast_is_answered_with_the_reason(
    model: str, replies: redis.Redis, changes: dict[str, object], words: str
) -> None:
    gpu.predict.run(request(model, **changes))
    reply = read(replies)
    assert reply["request_id"] == "r1"
    assert words in reply["error"]


@pytest.mark.django_db
def test_a_model_whose_answers_changed_is_never_ready_and_the_failure_is_on_record(
    member: FleetMember, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.register_model(
        member.ctx, digest=model, name="t", kind="nhits", config={}, metrics={}, data=[], size_bytes=1
    )
    monkeypatch.setattr(golden, "TOLERANCE", -1.0)
    with pytest.raises(GoldenMismatch):
        gpu.load.run(model)
    assert ModelVersion.objects.get(digest=model).state == ModelState.REGISTERED
    failed = ModelLoad.objects.get()
    assert (failed.state, failed.golden_ok) == (LoadState.FAILED, False)
    assert "known answers" in failed.error
    assert member.host.digests == ()
    monkeypatch.undo()
    member.load(model)
    assert ModelVersion.objects.get(digest=model).state == ModelState.READY


@pytest.mark.django_db
def test_a_training_that_cannot_be_understood_is_refused(member: FleetMember) -> None:
    with pytest.raises(Invalid, match="stepz"):
        gpu.train.run({"training": {"stepz": 1}})


@pytest.mark.django_db
def test_a_training_ends_with_its_process_and_leaves_nothing(member: FleetMember) -> None:
    member.stopping.set()
    with pytest.raises(TrainingAborted, match="step 20 of 40"):
        gpu.train.run(SPEC)
    assert not ModelVersion.objects.exists()
    assert member.host.store.digests() == []


@pytest.mark.django_db
def test_membership_probes_devices_up_to_a_known_forecast_and_renews_the_lease(member: FleetMember, model: str) -> None:
    member.enrol()
    member.host.load(model)
    member.probe()
    member.beat()
    device = Device.objects.select_related("telemetry").get(kind="cpu")
    assert device.health == "healthy"
    assert [check["name"] for check in device.checks] == ["allocate", "copy", "known product", "known forecast"]
    assert "1 models" in device.checks[-1]["detail"]
    assert device.telemetry.values["process_rss_bytes"] > 0
    assert device.telemetry.values["power_w"] is None


@pytest.mark.django_db
def test_a_restarted_worker_warms_the_ready_models_and_survives_one_that_is_gone(
    member: FleetMember, model: str
) -> None:
    for digest in (model, "cd" * 32):
        services.register_model(
            member.ctx, digest=digest, name="t", kind="nhits", config={}, metrics={}, data=[], size_bytes=1
        )
        services.mark_ready(member.ctx, digest=digest)
    member.warm_newest()
    assert member.host.digests == (model,)
    assert dict(ModelLoad.objects.values_list("model__digest", "state")) == {model: "ready", "cd" * 32: "failed"}


def test_the_identity_of_a_node_survives_and_a_broken_one_is_named(tmp_path: Path) -> None:
    assert node_id(tmp_path) == node_id(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["node-id"]
    (tmp_path / "node-id").write_text("me")
    with pytest.raises(ValueError, match="was 'me': delete the file"):
        node_id(tmp_path)
