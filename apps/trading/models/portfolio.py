"""Rebalance runs: what was asked, what it was computed from, and what came out. A run trades nothing by itself."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db import models

from apps.core.ids import new_id
from apps.trading.models.fields import exact_or_none
from apps.trading.models.reference import Venue


class RebalanceState(models.TextChoices):
    """DONE found the book that was asked for; REFUSED kept the old one and says why; FAILED had no answer."""

    PENDING = "pending", "Waiting"
    RUNNING = "running", "Computing"
    DONE = "done", "Done"
    REFUSED = "refused", "Old book kept"
    FAILED = "failed", "Failed"


OPEN_RUNS: Final = (RebalanceState.PENDING, RebalanceState.RUNNING)


class RebalanceRun(models.Model):
    """One computation of target weights, from a policy that is frozen here as versioned JSON."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="rebalances")
    state = models.CharField(max_length=8, choices=RebalanceState.choices, default=RebalanceState.PENDING)
    method = models.CharField(max_length=32)
    policy = models.JSONField()
    policy_digest = models.CharField(max_length=64)
    inputs_digest = models.CharField(max_length=64, blank=True)
    """SHA-256 over policy, book and history: equal digests give equal answers."""
    inputs = models.JSONField(default=dict)
    outcome = models.JSONField(default=dict)
    """Status of the optimiser, weights, targets, trades, certificate, binding constraints and conflict."""
    cost = exact_or_none()
    """Fees of the proposed trades, in the quote asset."""
    why = models.CharField(max_length=500, blank=True)
    schedule = models.ForeignKey("RebalanceSchedule", on_delete=models.PROTECT, null=True, related_name="runs")
    """Set where nobody asked, but a standing policy."""
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="rebalances", null=True
    )
    requested_by_name = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    sent_at = models.DateTimeField()
    """When a worker was last told of it; a message may be lost."""
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    version = models.IntegerField(default=1)

    class Meta:
        ordering = ["-requested_at", "-id"]
        indexes = [models.Index(fields=["venue", "-requested_at"], name="rebalance_newest")]
        constraints = [
            models.UniqueConstraint(
                fields=["venue"], condition=models.Q(state__in=["pending", "running"]), name="rebalance_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.method} {self.state}"
