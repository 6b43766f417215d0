"""Deployments: what may run (releases), what runs (runs) and what was checked on the way (steps)."""

from __future__ import annotations

from django.db import models

from apps.core.ids import new_id
from apps.deployments.choices import RunState, StepState
from apps.trading.models import Venue


class Release(models.Model):
    """What may run: strategy, parameters, model and limits, by digest. Rows never change."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    number = models.PositiveIntegerField(unique=True)
    strategy = models.CharField(max_length=64)
    params = models.JSONField(default=dict)
    model_digest = models.CharField(max_length=80)
    limits_version = models.PositiveIntegerField()
    limits_digest = models.CharField(max_length=64)
    instruments = models.JSONField(default=list)
    interval_ns = models.BigIntegerField()
    capital_share = models.DecimalField(max_digits=7, decimal_places=6, null=True)
    """Part of the account's equity, in (0, 1], that a run sizes by; null for all of it."""
    config_hash = models.CharField(max_length=64)
    """SHA-256 over strategy, parameters, instruments and interval."""
    digest = models.CharField(max_length=64, unique=True)
    """SHA-256 over everything above: the same content is the same release."""
    note = models.CharField(max_length=500, blank=True)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"release {self.number} ({self.digest[:12]})"


class Run(models.Model):
    """One deployment of a release to a venue. ``plan`` is frozen at the start; later edits change later runs only."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    number = models.PositiveIntegerField(unique=True)
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="runs")
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="runs")
    environment = models.CharField(max_length=16)
    """The venue's mode: paper or live."""
    state = models.CharField(max_length=12, choices=RunState.choices, default=RunState.DRAFT)
    detail = models.CharField(max_length=500, blank=True)
    plan = models.JSONField(default=dict)
    ticket = models.UUIDField(default=new_id)
    """The one scheduled task that may take the next step; any other is late and does nothing."""
    due_at = models.DateTimeField(null=True)
    """When the next step is overdue; null in a final state."""
    requested_by = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    healthy_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    stop_reason = models.CharField(max_length=500, blank=True)
    version = models.IntegerField(default=1)

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"run {self.number} ({self.state})"


class TradedInstrument(models.Model):
    """An instrument that a run trades for as long as it is active: no second one may."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="traded")
    environment = models.CharField(max_length=16)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="traded")
    symbol = models.CharField(max_length=40)

    class Meta:
        ordering = ["venue", "symbol"]
        constraints = [models.UniqueConstraint(fields=["environment", "venue", "symbol"], name="traded_once")]

    def __str__(self) -> str:
        return f"{self.symbol} by {self.run_id}"


class Step(models.Model):
    """One check of a run with what was seen."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=32)
    state = models.CharField(max_length=8, choices=StepState.choices, default=StepState.PENDING)
    detail = models.CharField(max_length=500, blank=True)
    evidence = models.JSONField(default=dict)
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="step_once")]

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"
