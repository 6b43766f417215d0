"""Read-only lists: the fleet's rows are written by its services alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin

from apps.fleet.models import Device, ModelLoad, ModelVersion, Node

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = admin.ModelAdmin


def _refuse(*_: object, **__: object) -> bool:
    return False


never: Callable[..., bool] = _refuse


class ReadOnlyAdmin(Base):
    has_add_permission = never
    has_change_permission = never
    has_delete_permission = never


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    list_display = ["hostname", "state", "region", "last_heartbeat_at"]


@admin.register(Device)
class DeviceAdmin(ReadOnlyAdmin):
    list_display = ["node", "kind", "index", "name", "health", "probed_at"]


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    list_display = ["name", "digest", "state", "created_at"]


@admin.register(ModelLoad)
class ModelLoadAdmin(ReadOnlyAdmin):
    list_display = ["model", "device", "state", "golden_ok", "at"]
