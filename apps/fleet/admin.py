"""Read-only lists: the fleet's rows are written by its services alone."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.domain.roles import Capability
from apps.core.admin_site import ReadOnlyAdmin
from apps.fleet.models import Device, ModelLoad, ModelVersion, Node


class FleetRecords(ReadOnlyAdmin):
    view_capability = Capability.FLEET_VIEW


@admin.register(Node)
class NodeAdmin(FleetRecords):
    list_display = ["hostname", "state", "region", "last_heartbeat_at"]


@admin.register(Device)
class DeviceAdmin(FleetRecords):
    list_display = ["node", "kind", "index", "name", "health", "probed_at"]


@admin.register(ModelVersion)
class ModelVersionAdmin(FleetRecords):
    list_display = ["name", "digest", "state", "created_at"]


@admin.register(ModelLoad)
class ModelLoadAdmin(FleetRecords):
    list_display = ["model", "device", "state", "golden_ok", "at"]
