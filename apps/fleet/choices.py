"""The states of nodes, devices and models."""

from __future__ import annotations

from django.db.models import TextChoices


class NodeState(TextChoices):
    """LOST: the lease ran out without a heartbeat."""

    ONLINE = "online", "Online"
    LOST = "lost", "Lost"


class DeviceKind(TextChoices):
    CPU = "cpu", "CPU"
    MPS = "mps", "Apple GPU (MPS)"
    CUDA = "cuda", "NVIDIA GPU (CUDA)"


class DeviceHealth(TextChoices):
    """DEGRADED: works, though not as asked for, such as a CPU in place of an accelerator. FAILED: a probe failed."""

    HEALTHY = "healthy", "Healthy"
    DEGRADED = "degraded", "Degraded"
    FAILED = "failed", "Failed"


class ModelState(TextChoices):
    """READY: a device has warmed it up and it gave its known answers."""

    REGISTERED = "registered", "Registered"
    READY = "ready", "Ready"
    RETIRED = "retired", "Retired"


class LoadState(TextChoices):
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"
