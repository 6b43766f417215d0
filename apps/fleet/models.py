"""Machines, their devices, and the models that run on them."""

from __future__ import annotations

from django.db import models

from apps.core.ids import new_id
from apps.fleet.choices import DeviceHealth, DeviceKind, LoadState, ModelState, NodeState


class Node(models.Model):
    """One machine. Its id is kept in the machine's own state folder, so that it is the same after a restart."""

    id = models.UUIDField(primary_key=True)
    hostname = models.CharField(max_length=255)
    os = models.CharField(max_length=255)
    region = models.CharField(max_length=64)
    version = models.CharField(max_length=64)
    state = models.CharField(max_length=16, choices=NodeState, default=NodeState.ONLINE)
    registered_at = models.DateTimeField()
    last_heartbeat_at = models.DateTimeField()
    lease_expires_at = models.DateTimeField()

    class Meta:
        ordering = ["hostname", "id"]
        indexes = [models.Index(fields=["state", "lease_expires_at"], name="fleet_node_lease")]

    def __str__(self) -> str:
        return self.hostname


class Device(models.Model):
    """One processor that models run on; ``index`` counts those of a kind on a node. Null: the device cannot say."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="devices")
    kind = models.CharField(max_length=8, choices=DeviceKind)
    index = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=255)
    memory_bytes = models.BigIntegerField(null=True)
    unified = models.BooleanField()
    backend_version = models.CharField(max_length=64)
    health = models.CharField(max_length=16, choices=DeviceHealth)
    checks = models.JSONField(default=list)
    """The probe's layers in order: name, ok, detail, seconds."""
    probed_at = models.DateTimeField()

    class Meta:
        ordering = ["node", "kind", "index"]
        constraints = [models.UniqueConstraint(fields=["node", "kind", "index"], name="fleet_device_once")]

    def __str__(self) -> str:
        return f"{self.node_id} {self.kind}:{self.index}"


class TelemetrySample(models.Model):
    """The newest sample of a device; the unit is in each name, and null is what the device does not measure."""

    device = models.OneToOneField(Device, primary_key=True, on_delete=models.CASCADE, related_name="telemetry")
    values = models.JSONField()
    sampled_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.device_id} at {self.sampled_at}"


class ModelVersion(models.Model):
    """One trained model, named by the SHA-256 over its files: what it is never changes, only its state does."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=128)
    digest = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=32)
    config = models.JSONField()
    metrics = models.JSONField()
    data = models.JSONField()
    """Provenance of each training series: name, source, sha256, rows, interval and range."""
    size_bytes = models.BigIntegerField()
    state = models.CharField(max_length=16, choices=ModelState, default=ModelState.REGISTERED)
    created_by = models.CharField(max_length=255)
    created_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "id"]
        indexes = [models.Index(fields=["name", "state", "-ready_at"], name="fleet_model_newest")]

    def __str__(self) -> str:
        return f"{self.name} {self.digest[:12]}"


class ModelLoad(models.Model):
    """A model on a device: the last attempt, and whether it gave its known answers."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="loads")
    model = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="loads")
    state = models.CharField(max_length=16, choices=LoadState)
    golden_ok = models.BooleanField()
    warm_ms = models.FloatField(null=True)
    error = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at"]
        constraints = [models.UniqueConstraint(fields=["device", "model"], name="fleet_load_once")]

    def __str__(self) -> str:
        return f"{self.model_id} on {self.device_id}"
