"""Read-only lists: the fleet's rows are written by its services alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

from apps.fleet.models import Device, ModelLoad, ModelVersion, Node

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = admin.ModelAdmin


def _never(*_: object) -> bool:
    return False


class ReadOnlyAdmin(Base):
    has_add_permission = has_change_permission = has_delete_permission = staticmethod(_never)


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
