"""Questions to the fleet's rows."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.accounts.permissions import Capability, require
from apps.core.context import Context
from apps.fleet.choices import DeviceHealth, LoadState, ModelState, NodeState
from apps.fleet.models import Device, ModelLoad, ModelVersion, Node


def nodes() -> QuerySet[Node]:
    return Node.objects.prefetch_related("devices__telemetry")


def devices() -> QuerySet[Device]:
    return Device.objects.select_related("node", "telemetry")


def usable_devices() -> QuerySet[Device]:
    """Devices that passed their probe, on machines whose lease is good."""
    return devices().filter(node__state=NodeState.ONLINE).exclude(health=DeviceHealth.FAILED)


def models() -> QuerySet[ModelVersion]:
    return ModelVersion.objects.prefetch_related("loads__device")


def model(digest: str) -> ModelVersion | None:
    return ModelVersion.objects.filter(digest=digest).first()


def newest_ready_model(name: str) -> ModelVersion | None:
    """The model of ``name`` that became ready last."""
    return ModelVersion.objects.filter(name=name, state=ModelState.READY).order_by("-ready_at").first()


def ready_models(most: int) -> list[ModelVersion]:
    """The ``most`` models that became ready last, newest first."""
    return list(ModelVersion.objects.filter(state=ModelState.READY).order_by("-ready_at")[:most])


def serving(digest: str) -> QuerySet[ModelLoad]:
    """Where a model is ready now: warm, with its known answers, on a machine whose lease is good."""
    return ModelLoad.objects.select_related("device__node").filter(
        model__digest=digest,
        model__state=ModelState.READY,
        state=LoadState.READY,
        device__node__state=NodeState.ONLINE,
    )


def visible_nodes(ctx: Context) -> QuerySet[Node]:
    """All machines, for a caller who may see the fleet; PermissionRefused for others."""
    _require_view(ctx, "node")
    return nodes()


def visible_devices(ctx: Context) -> QuerySet[Device]:
    """All devices, for a caller who may see the fleet; PermissionRefused for others."""
    _require_view(ctx, "device")
    return devices()


def visible_models(ctx: Context) -> QuerySet[ModelVersion]:
    """All models, for a caller who may see the fleet; PermissionRefused for others."""
    _require_view(ctx, "model")
    return models()


def _require_view(ctx: Context, kind: str) -> None:
    require(ctx, Capability.FLEET_VIEW, object_type=kind, object_id="")
