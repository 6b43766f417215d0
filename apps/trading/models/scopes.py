"""Halts by scope, for all venues at once: what people want, who decided, and parts of the open orders to cancel."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.core.ids import new_id
from apps.trading.models.reference import Venue


class ScopeControl(models.Model):
    """The one row per scope, such as ``strategy:ema_cross``, that every execution worker obeys. It polls them."""

    scope = models.CharField(max_length=80, primary_key=True)
    halted = models.BooleanField(default=False)
    version = models.IntegerField(default=0)
    reason = models.CharField(max_length=500, blank=True)
    by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["scope"]

    def __str__(self) -> str:
        return f"{self.scope} {'halted' if self.halted else 'active'} v{self.version}"


class ScopeHalt(models.Model):
    """History: one row from halting a scope to resuming it, with the wish to resume that waits for another person."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    control = models.ForeignKey(ScopeControl, on_delete=models.PROTECT, related_name="halts")
    reason = models.CharField(max_length=500)
    halted_by = models.CharField(max_length=150)
    halted_at = models.DateTimeField()
    automatic = models.BooleanField(default=False)
    """True when a loop halted the scope itself, for a loss or for repeated executions."""
    version = models.IntegerField()
    effective_at = models.DateTimeField(null=True)
    """When the first loop reported that it blocks the scope."""
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    requested_by_name = models.CharField(max_length=150, blank=True)
    requested_at = models.DateTimeField(null=True)
    request_reason = models.CharField(max_length=500, blank=True)
    request_expires_at = models.DateTimeField(null=True)
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    resumed_by = models.CharField(max_length=150, blank=True)
    approved_by_name = models.CharField(max_length=150, blank=True)
    resumed_at = models.DateTimeField(null=True)
    resume_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-halted_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["control"], condition=models.Q(resumed_at=None), name="scope_halt_open_once"
            ),
            models.CheckConstraint(
                condition=models.Q(approved_by=None) | ~models.Q(approved_by=models.F("requested_by")),
                name="scope_resume_two_people",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.control_id} {self.halted_at.isoformat()} {self.reason}"


class CancelOrder(models.Model):
    """One order of a person to cancel a part of the open orders; a worker acts once on each."""

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="cancel_orders")
    selection = models.JSONField()
    """As ``workers.engine.risk.scopes.Selection`` reads it."""
    reason = models.CharField(max_length=500)
    by = models.CharField(max_length=150)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.selection} by {self.by}"
