"""Backtests and searches that were asked for, what they were made of, and what came of them."""

from __future__ import annotations

from django.db import models

from apps.core.ids import new_id


class BacktestKind(models.TextChoices):
    """A TRIAL is one run of a SEARCH."""

    RUN = "run", "Run"
    SEARCH = "search", "Search"
    TRIAL = "trial", "Trial"


class BacktestState(models.TextChoices):
    """The last three are final."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Backtest(models.Model):
    """One backtest. What it is made of never changes after it was asked for; ``version`` grows with every change.

    ``settings`` holds capital, fees, latency, seed and period; of a search also ranges, trials and metric.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=8, choices=BacktestKind, default=BacktestKind.RUN)
    search = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="trials")
    number = models.IntegerField(default=0)
    """Of a trial within its search, from 0."""
    strategy = models.CharField(max_length=64)
    params = models.JSONField(default=dict)
    data = models.CharField(max_length=255)
    settings = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=BacktestState, default=BacktestState.QUEUED)
    cancel_requested = models.BooleanField(default=False)
    progress = models.FloatField(default=0.0)
    detail = models.TextField(blank=True)
    """Why it failed, in words."""
    inputs = models.CharField(max_length=64, blank=True)
    """SHA-256 over settings and market data."""
    fingerprint = models.CharField(max_length=64, blank=True)
    summary = models.JSONField(null=True)
    score = models.FloatField(null=True)
    sheet = models.BinaryField(null=True)
    """The tear sheet, HTML, gzipped."""
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    sent_at = models.DateTimeField()
    """When a worker was last told of it; a message may be lost."""
    started_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True)
    """When its worker was last heard of."""
    finished_at = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0)
    version = models.IntegerField(default=1)

    class Meta:
        ordering = ["-requested_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["search", "number"], name="backtest_trial_once")]
        indexes = [
            models.Index(fields=["state", "sent_at"], name="backtest_waiting"),
            models.Index(fields=["-requested_at", "-id"], condition=~models.Q(kind="trial"), name="backtest_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.strategy} on {self.data}, {self.state}"
