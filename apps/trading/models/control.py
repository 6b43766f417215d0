"""Whether a venue may be traded: what people want, what the loop does, and who decided."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.core.ids import new_id
from apps.trading.choices import TRADING_STATES, ResumeState
from apps.trading.models.reference import Venue
from workers.engine.vocabulary import TradingState


class TradingControl(models.Model):
    """The one row per venue that the execution worker obeys; it polls, so that a lost command heals itself."""

    venue = models.OneToOneField(Venue, on_delete=models.PROTECT, primary_key=True, related_name="control")
    desired_state = models.CharField(max_length=12, choices=TRADING_STATES, default=TradingState.ACTIVE.value)
    version = models.IntegerField(default=1)
    reason = models.CharField(max_length=500, blank=True)
    by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField()
    cancel_version = models.IntegerField(default=0)
    """Grows with each order to cancel everything; the worker acts once on each new value."""
    cancel_reason = models.CharField(max_length=500, blank=True)
    cancel_by = models.CharField(max_length=150, blank=True)
    cancel_at = models.DateTimeField(null=True)
    observed_state = models.CharField(max_length=12, choices=TRADING_STATES, blank=True)
    observed_reason = models.CharField(max_length=500, blank=True)
    observed_version = models.IntegerField(default=0)
    observed_at = models.DateTimeField(null=True)
    limits_version = models.IntegerField(default=0)
    """The risk limits that the loop last said it activated."""
    limits_digest = models.CharField(max_length=80, blank=True)

    def __str__(self) -> str:
        return f"{self.venue_id} {self.desired_state} v{self.version}"


class Halt(models.Model):
    """History: one row from halting to resuming. At most one is open per venue."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="halts")
    reason = models.CharField(max_length=500)
    halted_by = models.CharField(max_length=150)
    halted_at = models.DateTimeField()
    automatic = models.BooleanField(default=False)
    """True when the loop halted itself, for a loss limit for example."""
    control_version = models.IntegerField()
    effective_at = models.DateTimeField(null=True)
    """When the loop reported that it had stopped."""
    resumed_by = models.CharField(max_length=150, blank=True)
    resumed_at = models.DateTimeField(null=True)
    resume_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-halted_at"]
        constraints = [
            models.UniqueConstraint(fields=["venue"], condition=models.Q(resumed_at=None), name="halt_open_once")
        ]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.halted_at.isoformat()} {self.reason}"


class ResumeRequest(models.Model):
    """A wish to resume that policy wants a second person to approve."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="resume_requests")
    halt = models.ForeignKey(Halt, on_delete=models.PROTECT, related_name="resume_requests")
    state = models.CharField(max_length=12, choices=ResumeState.choices, default=ResumeState.PENDING)
    reason = models.CharField(max_length=500)
    approvals_needed = models.IntegerField()
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="resume_requests", null=True
    )
    requested_by_name = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    approved_by_name = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-requested_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["venue"], condition=models.Q(state=ResumeState.PENDING), name="resume_pending_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.state} by {self.requested_by_name}"
