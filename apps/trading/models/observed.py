"""What the journal told of the loop itself: sessions, runs, feeds, reconciliations, and how far it was read."""

from __future__ import annotations

from django.db import models

from apps.trading.choices import FEED_STATES
from apps.trading.models.reference import Venue


class JournalCursor(models.Model):
    """How far the journal of one execution worker is projected; it moves in the transaction of the rows it made."""

    worker = models.CharField(max_length=64, primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, null=True, related_name="cursors")
    epoch = models.BigIntegerField(default=0)
    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)
    projected_at = models.DateTimeField(null=True)
    event_at = models.DateTimeField(null=True)
    """Our clock in the newest projected event."""
    anchored_seq = models.BigIntegerField(default=0)
    anchored_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.worker} {self.seq}"


class RunObservation(models.Model):
    """A run as the loop lived it; the deployment compares it with what it asked for."""

    run_id = models.CharField(max_length=64, primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="run_observations")
    release = models.CharField(max_length=80)
    strategy = models.CharField(max_length=64)
    model_digest = models.CharField(max_length=80, blank=True)
    limits_version = models.IntegerField(default=0)
    started_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)
    stop_reason = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return self.run_id


class FeedObservation(models.Model):
    """State of one instrument's market data, as the loop last reported it."""

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="feeds")
    symbol = models.CharField(max_length=32)
    state = models.CharField(max_length=12, choices=FEED_STATES)
    detail = models.CharField(max_length=500, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["symbol"]
        constraints = [models.UniqueConstraint(fields=["venue", "symbol"], name="feed_once")]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.symbol} {self.state}"


class ReconciliationRun(models.Model):
    """One comparison of our books with the venue's."""

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="reconciliations")
    at_venue = models.CharField(max_length=32, blank=True, default="")
    """Which of the account's execution venues was asked; empty for the home venue."""
    at = models.DateTimeField()
    seq = models.BigIntegerField()
    ok = models.BooleanField()
    compared = models.BooleanField(default=True)
    """False when the venue was lost: ``breaks`` then holds why."""
    orders_checked = models.IntegerField()
    fills_adopted = models.IntegerField()
    breaks = models.JSONField(default=list)

    class Meta:
        ordering = ["-at"]
        constraints = [models.UniqueConstraint(fields=["venue", "seq", "at"], name="reconciliation_once")]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.at.isoformat()} {'ok' if self.ok else 'breaks'}"
