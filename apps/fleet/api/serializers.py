"""The fleet's rows as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework import serializers

from apps.fleet.models import Device, ModelLoad, ModelVersion, Node, TelemetrySample

if TYPE_CHECKING:
    NodeBase = serializers.ModelSerializer[Node]
    SampleBase = serializers.ModelSerializer[TelemetrySample]
    DeviceBase = serializers.ModelSerializer[Device]
    LoadBase = serializers.ModelSerializer[ModelLoad]
    ModelBase = serializers.ModelSerializer[ModelVersion]
else:
    NodeBase = SampleBase = DeviceBase = LoadBase = ModelBase = serializers.ModelSerializer


class NodeSerializer(NodeBase):
    class Meta:
        model = Node
        fields = ("id", "hostname", "os", "region", "version", "state", "registered_at", "last_heartbeat_at",
                  "lease_expires_at")  # fmt: skip


class TelemetrySerializer(SampleBase):
    """``values`` carries its units in its names; null is what the device does not measure."""

    class Meta:
        model = TelemetrySample
        fields = ("values", "sampled_at")


class DeviceSerializer(DeviceBase):
    hostname = serializers.CharField(source="node.hostname", read_only=True)
    telemetry = TelemetrySerializer(read_only=True, allow_null=True, default=None)

    class Meta:
        model = Device
        fields = ("id", "node", "hostname", "kind", "index", "name", "memory_bytes", "unified", "backend_version",
                  "health", "checks", "probed_at", "telemetry")  # fmt: skip


class LoadSerializer(LoadBase):
    class Meta:
        model = ModelLoad
        fields = ("device", "state", "golden_ok", "warm_ms", "error", "at")


class ModelSerializer(ModelBase):
    loads = LoadSerializer(many=True, read_only=True)

    class Meta:
        model = ModelVersion
        fields = ("digest", "name", "kind", "state", "config", "metrics", "data", "size_bytes", "created_by",
                  "created_at", "ready_at", "loads")  # fmt: skip
