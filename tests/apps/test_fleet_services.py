"""The fleet's services on a real database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from apps.audit.models import AuditEntry
from apps.core.clock import FrozenClock
from apps.core.context import Context, service_context
from apps.core.errors import IllegalTransition, Invalid, NotFound
from apps.core.models import OutboxMessage
from apps.fleet import selectors, services
from apps.fleet.choices import DeviceHealth, LoadState, ModelState, NodeState
from apps.fleet.models import Device, TelemetrySample
from apps.fleet.services import Check, DeviceReport

pytestmark = pytest.mark.django_db
DIGEST = "ab" * 32


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def ctx(clock: FrozenClock) -> Context:
    return service_context("gpu", clock=clock)


@pytest.fixture
def node_id(ctx: Context) -> UUID:
    return services.register_node(ctx, node_id=uuid4(), hostname="desk", os="Linux", region="us-east", version="0.1").pk


def cpu(*, ok: bool = True, degraded: bool = False, index: int = 0) -> DeviceReport:
    return DeviceReport(
        kind="cpu",
        index=index,
        name="a CPU",
        memory_bytes=None,
        unified=False,
        backend_version="torch",
        degraded=degraded,
        checks=(Check(name="known product", ok=ok, detail="", seconds=0.01),),
    )


def model(ctx: Context, digest: str = DIGEST) -> None:
    services.register_model(
        ctx, digest=digest, name="nhits", kind="nhits", config={}, metrics={"skill_mse": 0.0}, data=[], size_bytes=1
    )


def audited() -> list[str]:
    return list(AuditEntry.objects.order_by("seq").values_list("event", flat=True))


def test_a_node_that_comes_back_is_the_same_node_and_is_audited_once(ctx: Context, node_id: UUID) -> None:
    services.register_node(ctx, node_id=node_id, hostname="renamed", os="Linux", region="us-east", version="0.2")
    assert selectors.nodes().count() == 1
    assert selectors.nodes().get().hostname == "renamed"
    assert audited() == ["fleet.node.registered"]


def test_a_lease_that_runs_out_loses_the_node_and_a_heartbeat_recovers_it(
    ctx: Context, clock: FrozenClock, node_id: UUID
) -> None:
    clock.advance(seconds=15)
    assert services.expire_leases(ctx) == []
    clock.advance(seconds=1)
    assert [node.pk for node in services.expire_leases(ctx)] == [node_id]
    assert services.expire_leases(ctx) == []
    assert services.heartbeat(ctx, node_id=node_id).state == NodeState.ONLINE
    assert audited() == ["fleet.node.registered", "fleet.node.lost", "fleet.node.recovered"]
    kinds = OutboxMessage.objects.filter(topic="fleet").order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["node.updated", "node.lost", "node.recovered"]


def test_heartbeats_renew_the_lease_and_are_not_audited(ctx: Context, clock: FrozenClock, node_id: UUID) -> None:
    for _ in range(5):
        clock.advance(seconds=10)
        services.heartbeat(ctx, node_id=node_id)
    assert services.expire_leases(ctx) == []
    assert selectors.nodes().get().lease_expires_at == clock.now() + timedelta(seconds=15)
    assert audited() == ["fleet.node.registered"]


def test_a_heartbeat_of_a_stranger_is_refused(ctx: Context) -> None:
    with pytest.raises(NotFound, match="has not registered"):
        services.heartbeat(ctx, node_id=uuid4())


def test_telemetry_keeps_null_and_refuses_sentinels_and_missing_units(ctx: Context, node_id: UUID) -> None:
    services.record_probe(ctx, node_id=node_id, devices=[cpu()])
    services.heartbeat(ctx, node_id=node_id, telemetry={("cpu", 0): {"memory_used_bytes": 5, "temperature_c": None}})
    assert TelemetrySample.objects.get().values == {"memory_used_bytes": 5, "temperature_c": None}
    for bad in ({"temperature_c": 9223372036854775794}, {"temperature": 40.0}, {"power_w": float("nan")}):
        with pytest.raises(Invalid, match="not usable"):
            services.heartbeat(ctx, node_id=node_id, telemetry={("cpu", 0): bad})


@pytest.mark.parametrize(
    ("report", "health"),
    [
        (cpu(), DeviceHealth.HEALTHY),
        (cpu(degraded=True), DeviceHealth.DEGRADED),
        (cpu(ok=False), DeviceHealth.FAILED),
    ],
)
def test_a_probe_decides_health(ctx: Context, node_id: UUID, report: DeviceReport, health: DeviceHealth) -> None:
    services.record_probe(ctx, node_id=node_id, devices=[report])
    assert Device.objects.get().health == health
    assert selectors.usable_devices().exists() == (health != DeviceHealth.FAILED)


def test_a_device_that_is_no_longer_found_is_failed_and_not_forgotten(ctx: Context, node_id: UUID) -> None:
    services.record_probe(ctx, node_id=node_id, devices=[cpu(), cpu(index=1)])
    services.record_probe(ctx, node_id=node_id, devices=[cpu()])
    assert list(Device.objects.order_by("index").values_list("health", flat=True)) == ["healthy", "failed"]


def test_a_model_is_registered_once_and_becomes_ready_once(ctx: Context) -> None:
    model(ctx)
    model(ctx)
    services.mark_ready(ctx, digest=DIGEST)
    services.mark_ready(ctx, digest=DIGEST)
    assert selectors.newest_ready_model("nhits") == selectors.model(DIGEST)
    assert audited() == ["fleet.model.registered", "fleet.model.ready"]


def test_a_retired_model_stays_retired(ctx: Context) -> None:
    model(ctx)
    services.mark_ready(ctx, digest=DIGEST)
    assert services.retire_model(ctx, digest=DIGEST).state == ModelState.RETIRED
    assert selectors.newest_ready_model("nhits") is None
    with pytest.raises(IllegalTransition, match="retired"):
        services.mark_ready(ctx, digest=DIGEST)


@pytest.mark.parametrize("digest", ["", "zz" * 32, "AB" * 32, "ab" * 31])
def test_what_is_no_digest_is_refused(ctx: Context, digest: str) -> None:
    with pytest.raises(Invalid, match="SHA-256"):
        model(ctx, digest)


def test_a_model_serves_only_where_it_is_warm_with_known_answers_on_a_live_node(
    ctx: Context, clock: FrozenClock, node_id: UUID
) -> None:
    services.record_probe(ctx, node_id=node_id, devices=[cpu()])
    model(ctx)
    where: dict[str, Any] = {"node_id": node_id, "kind": "cpu", "index": 0, "digest": DIGEST}
    assert services.record_load(ctx, **where, golden_ok=False, error="off").state == LoadState.FAILED
    services.mark_ready(ctx, digest=DIGEST)
    assert not selectors.serving(DIGEST).exists()
    assert services.record_load(ctx, **where, golden_ok=True, warm_ms=3.0).state == LoadState.READY
    assert selectors.serving(DIGEST).exists()
    clock.advance(seconds=16)
    services.expire_leases(ctx)
    assert not selectors.serving(DIGEST).exists()


def test_a_load_on_an_unknown_device_is_refused(ctx: Context, node_id: UUID) -> None:
    model(ctx)
    with pytest.raises(NotFound, match="no device mps:0"):
        services.record_load(ctx, node_id=node_id, kind="mps", index=0, digest=DIGEST, golden_ok=True)


def test_a_load_is_recorded_when_it_turns_and_only_then(ctx: Context, node_id: UUID) -> None:
    services.record_probe(ctx, node_id=node_id, devices=[cpu()])
    model(ctx)
    for _ in range(2):
        services.record_load(ctx, node_id=node_id, kind="cpu", index=0, digest=DIGEST, golden_ok=True, warm_ms=3.0)
    assert AuditEntry.objects.filter(event="fleet.load.ready").count() == 1
