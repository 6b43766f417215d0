"""The only writers of the fleet's rows. Heartbeats are not audited; joining, losing and every model change are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.permissions import Capability, require
from apps.audit.services import record
from apps.core.context import ActorKind, Context
from apps.core.errors import IllegalTransition, Invalid, NotFound
from apps.core.outbox import publish
from apps.fleet import public
from apps.fleet.choices import DeviceHealth, DeviceKind, LoadState, ModelState, NodeState
from apps.fleet.domain.reports import Check, DeviceReport, Telemetry, telemetry_faults
from apps.fleet.models import Device, ModelLoad, ModelVersion, Node, TelemetrySample

__all__ = [
    "Check",
    "DeviceReport",
    "expire_leases",
    "heartbeat",
    "mark_ready",
    "record_load",
    "record_probe",
    "register_model",
    "register_node",
    "retire_model",
]

LEASE = timedelta(seconds=15)
TOPIC = "fleet"


@transaction.atomic
def register_node(ctx: Context, *, node_id: UUID, hostname: str, os: str, region: str, version: str) -> Node:
    """Enrol a machine, or greet it again after its restart; the lease runs from now."""
    known = Node.objects.select_for_update().filter(pk=node_id).first()
    now = ctx.now()
    facts = {"hostname": hostname, "os": os, "region": region, "version": version}
    if known and known.state == NodeState.LOST:
        _recovered(ctx, known)
    lease = {"last_heartbeat_at": now, "lease_expires_at": now + LEASE, "state": NodeState.ONLINE}
    node, created = Node.objects.update_or_create(
        pk=node_id, defaults={**facts, **lease}, create_defaults={**facts, **lease, "registered_at": now}
    )
    if created:
        record(ctx, event="fleet.node.registered", object_type="node", object_id=str(node_id), after=facts)
    _publish(ctx, "node.updated", str(node_id), public.node(node))
    return node


@transaction.atomic
def heartbeat(ctx: Context, *, node_id: UUID, telemetry: Mapping[tuple[str, int], Telemetry] | None = None) -> Node:
    """Renew a machine's lease and keep the newest sample of each device, named by kind and index.

    NotFound for a machine that has not registered; Invalid for a sample without units or with a sentinel in it.
    """
    node = Node.objects.select_for_update().filter(pk=node_id).first()
    if node is None:
        raise NotFound(f"node {node_id} has not registered", node=str(node_id))
    now = ctx.now()
    if node.state == NodeState.LOST:
        _recovered(ctx, node)
    node.state = NodeState.ONLINE
    node.last_heartbeat_at, node.lease_expires_at = now, now + LEASE
    node.save(update_fields=["state", "last_heartbeat_at", "lease_expires_at"])
    devices = {(device.kind, device.index): device for device in node.devices.all()}
    for key, values in (telemetry or {}).items():
        if faults := telemetry_faults(values):
            raise Invalid(f"telemetry of {key[0]}:{key[1]} is not usable: {'; '.join(faults)}", faults=faults)
        if device := devices.get(key):
            TelemetrySample.objects.update_or_create(
                device=device, defaults={"values": dict(values), "sampled_at": now}
            )
    return node


@transaction.atomic
def record_probe(ctx: Context, *, node_id: UUID, devices: Sequence[DeviceReport]) -> list[Device]:
    """Keep what a probe found. Devices of the node that it did not find are FAILED: they were there before."""
    node = Node.objects.select_for_update().filter(pk=node_id).first()
    if node is None:
        raise NotFound(f"node {node_id} has not registered", node=str(node_id))
    rows = [_save_device(ctx, node, report) for report in devices]
    gone = node.devices.exclude(pk__in=[row.pk for row in rows])
    gone.update(health=DeviceHealth.FAILED, probed_at=ctx.now())
    for row in (*rows, *gone):
        _publish(ctx, "device.updated", str(row.pk), public.device(row))
    return rows


def _save_device(ctx: Context, node: Node, report: DeviceReport) -> Device:
    if report.kind not in DeviceKind.values:
        raise Invalid(f"expected a device kind of {DeviceKind.values}, was {report.kind!r}", kind=report.kind)
    health = DeviceHealth.FAILED
    if report.passed:
        health = DeviceHealth.DEGRADED if report.degraded else DeviceHealth.HEALTHY
    row, _ = Device.objects.update_or_create(
        node=node,
        kind=report.kind,
        index=report.index,
        defaults={
            "name": report.name,
            "memory_bytes": report.memory_bytes,
            "unified": report.unified,
            "backend_version": report.backend_version,
            "health": health,
            "checks": [asdict(check) for check in report.checks],
            "probed_at": ctx.now(),
        },
    )
    return row


@transaction.atomic
def expire_leases(ctx: Context) -> list[Node]:
    """Mark as LOST every machine whose lease has run out; those that another process holds come next time."""
    late = Node.objects.select_for_update(skip_locked=True).filter(
        state=NodeState.ONLINE, lease_expires_at__lt=ctx.now()
    )
    lost = list(late)
    for node in lost:
        node.state = NodeState.LOST
        node.save(update_fields=["state"])
        record(
            ctx,
            event="fleet.node.lost",
            object_type="node",
            object_id=str(node.pk),
            before={"state": NodeState.ONLINE.value},
            after={"state": NodeState.LOST.value, "last_heartbeat_at": node.last_heartbeat_at.isoformat()},
        )
        _publish(ctx, "node.lost", str(node.pk), public.node(node))
    return lost


@transaction.atomic
def register_model(
    ctx: Context,
    *,
    digest: str,
    name: str,
    kind: str,
    config: dict[str, Any],
    metrics: dict[str, Any],
    data: list[dict[str, Any]],
    size_bytes: int,
) -> ModelVersion:
    """Enter a trained model; the same digest again returns the row that is there."""
    _require_manage(ctx, digest)
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise Invalid(f"expected a SHA-256 in hex as digest, was {digest!r}", digest=digest)
    model, created = ModelVersion.objects.get_or_create(
        digest=digest,
        defaults={
            "name": name,
            "kind": kind,
            "config": config,
            "metrics": metrics,
            "data": data,
            "size_bytes": size_bytes,
            "created_by": ctx.actor.id,
            "created_at": ctx.now(),
        },
    )
    if created:
        after = {"name": name, "kind": kind, "size_bytes": size_bytes, "data": data}
        record(ctx, event="fleet.model.registered", object_type="model", object_id=digest, after=after)
        _publish(ctx, "model.registered", digest, public.model(model))
    return model


@transaction.atomic
def mark_ready(ctx: Context, *, digest: str) -> ModelVersion:
    """A device has warmed the model up and it gave its known answers. IllegalTransition when it is retired."""
    _require_manage(ctx, digest)
    model = _locked_model(digest)
    if model.state == ModelState.RETIRED:
        raise IllegalTransition(f"model {digest} is retired and cannot become ready", state=model.state)
    if model.state != ModelState.READY:
        _move_model(ctx, model, ModelState.READY)
    return model


@transaction.atomic
def retire_model(ctx: Context, *, digest: str) -> ModelVersion:
    """Take a model out of use for new runs. A run that has it keeps it."""
    _require_manage(ctx, digest)
    model = _locked_model(digest)
    if model.state != ModelState.RETIRED:
        _move_model(ctx, model, ModelState.RETIRED)
    return model


@transaction.atomic
def record_load(
    ctx: Context,
    *,
    node_id: UUID,
    kind: str,
    index: int,
    digest: str,
    golden_ok: bool,
    warm_ms: float | None = None,
    error: str = "",
) -> ModelLoad:
    """Keep how loading a model on a device went; only a warm model with its known answers counts as READY."""
    if ctx.actor.kind is not ActorKind.SERVICE:
        _require_manage(ctx, digest)
    model = _locked_model(digest)
    device = Device.objects.filter(node_id=node_id, kind=kind, index=index).first()
    if device is None:
        raise NotFound(f"node {node_id} has no device {kind}:{index}", node=str(node_id), device=f"{kind}:{index}")
    state = LoadState.READY if golden_ok and warm_ms is not None and not error else LoadState.FAILED
    known = ModelLoad.objects.filter(device=device, model=model).first()
    load, _ = ModelLoad.objects.update_or_create(
        device=device,
        model=model,
        defaults={"state": state, "golden_ok": golden_ok, "warm_ms": warm_ms, "error": error, "at": ctx.now()},
    )
    if known is None or known.state != state:
        record(
            ctx,
            event="fleet.load.ready" if state == LoadState.READY else "fleet.load.failed",
            object_type="model",
            object_id=digest,
            before={"state": known.state if known else ""},
            after={"state": state.value, "node": str(node_id), "device": f"{kind}:{index}", "error": error},
        )
    return load


def _require_manage(ctx: Context, digest: str) -> None:
    require(ctx, Capability.FLEET_MANAGE, object_type="model", object_id=digest)


def _locked_model(digest: str) -> ModelVersion:
    model = ModelVersion.objects.select_for_update().filter(digest=digest).first()
    if model is None:
        raise NotFound(f"there is no model {digest}", digest=digest)
    return model


def _move_model(ctx: Context, model: ModelVersion, state: ModelState) -> None:
    before = model.state
    model.state = state
    if state == ModelState.READY:
        model.ready_at = ctx.now()
    model.save(update_fields=["state", "ready_at"])
    record(
        ctx,
        event=f"fleet.model.{state.value}",
        object_type="model",
        object_id=model.digest,
        before={"state": before},
        after={"state": state.value},
    )
    _publish(ctx, f"model.{state.value}", model.digest, public.model(model))


def _recovered(ctx: Context, node: Node) -> None:
    record(
        ctx,
        event="fleet.node.recovered",
        object_type="node",
        object_id=str(node.pk),
        before={"state": NodeState.LOST.value, "last_heartbeat_at": node.last_heartbeat_at.isoformat()},
        after={"state": NodeState.ONLINE.value},
    )
    node.state = NodeState.ONLINE
    _publish(ctx, "node.recovered", str(node.pk), public.node(node))


def _publish(ctx: Context, kind: str, key: str, data: dict[str, Any]) -> None:
    publish(ctx, topic=TOPIC, kind=kind, key=key, data=data)
