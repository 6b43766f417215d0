"""The closed sets of words in deployments."""

from __future__ import annotations

from django.db import models


class RunState(models.TextChoices):
    """``RUNNING`` was asked to trade and is not proven yet, ``HEALTHY`` is; STOPPED and FAILED are final."""

    DRAFT = "draft", "Draft"
    VALIDATING = "validating", "Validating"
    STARTING = "starting", "Starting"
    RUNNING = "running", "Running"
    HEALTHY = "healthy", "Healthy"
    STOPPING = "stopping", "Stopping"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"


class StepState(models.TextChoices):
    PENDING = "pending", "Pending"
    PASSED = "passed", "Passed"
    FAILED = "failed", "Failed"


ACTIVE_STATES = (
    RunState.VALIDATING,
    RunState.STARTING,
    RunState.RUNNING,
    RunState.HEALTHY,
    RunState.STOPPING,
)
"""No two runs that are in one of these trade the same instrument of a venue: a database constraint says so."""
