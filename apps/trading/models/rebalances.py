"""Approved rebalances: what became of their orders. And policies that ask for a book again and again."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db import models

from apps.core.ids import new_id
from apps.trading.choices import OrderSide
from apps.trading.models.fields import exact, exact_or_none
from apps.trading.models.parents import ParentOrder
from apps.trading.models.portfolio import RebalanceRun
from apps.trading.models.reference import Venue


class RebalanceSchedule(models.Model):
    """A standing policy: beat asks for a run whenever ``next_at`` has come. One of a venue is active at a time."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="rebalance_schedules")
    policy = models.JSONField()
    policy_digest = models.CharField(max_length=64)
    reason = models.CharField(max_length=500)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    set_by_name = models.CharField(max_length=150)
    set_at = models.DateTimeField()
    next_at = models.DateTimeField()
    last_run = models.ForeignKey(RebalanceRun, on_delete=models.SET_NULL, null=True, related_name="+")
    problem = models.CharField(max_length=500, blank=True)
    """Why the last run that was due could not be asked for, or its proposal not be worked."""
    ended_by = models.CharField(max_length=150, blank=True)
    ended_at = models.DateTimeField(null=True)
    ended_reason = models.CharField(max_length=500, blank=True)
    version = models.IntegerField(default=1)

    class Meta:
        ordering = ["-set_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["venue"], condition=models.Q(ended_at=None), name="rebalance_schedule_active_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.policy_digest[:12]}"


class ExecutionState(models.TextChoices):
    """The last four are final: PARTIAL filled some of what was approved, FAILED nothing of it."""

    WORKING = "working", "Working"
    CANCELLING = "cancelling", "Cancelling"
    DONE = "done", "Done"
    PARTIAL = "partial", "Done in part"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


OPEN_EXECUTIONS: Final = (ExecutionState.WORKING, ExecutionState.CANCELLING)


class RebalanceExecution(models.Model):
    """The orders of one approved proposal, one leg per trade. A run is approved at most once."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    run = models.OneToOneField(RebalanceRun, on_delete=models.PROTECT, related_name="execution")
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="rebalance_executions")
    state = models.CharField(max_length=10, choices=ExecutionState.choices, default=ExecutionState.WORKING)
    digest = models.CharField(max_length=64)
    """Of the proposal as it was approved."""
    reason = models.CharField(max_length=500)
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    approved_by_name = models.CharField(max_length=150)
    approved_at = models.DateTimeField()
    cancel_reason = models.CharField(max_length=500, blank=True)
    cancel_by = models.CharField(max_length=150, blank=True)
    finished_at = models.DateTimeField(null=True)
    why = models.CharField(max_length=500, blank=True)
    """Why not all was done, in words."""
    version = models.IntegerField(default=1)

    class Meta:
        ordering = ["-approved_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["venue"],
                condition=models.Q(state__in=["working", "cancelling"]),
                name="rebalance_execution_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.run_id} {self.state}"


class LegState(models.TextChoices):
    """WAITING for cash or its turn, WORKING as a parent order; the rest are final."""

    WAITING = "waiting", "Waiting"
    WORKING = "working", "Working"
    DONE = "done", "Done"
    PARTIAL = "partial", "Done in part"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class RebalanceLeg(models.Model):
    """One approved trade. Its parent order is written in the transaction that names it here, so there is one."""

    id = models.BigAutoField(primary_key=True)
    execution = models.ForeignKey(RebalanceExecution, on_delete=models.PROTECT, related_name="legs")
    number = models.IntegerField()
    symbol = models.CharField(max_length=32)
    side = models.CharField(max_length=4, choices=OrderSide.choices)
    quantity = exact(default=None)
    limit_price = exact(default=None)
    """The worst price that it may trade at."""
    state = models.CharField(max_length=10, choices=LegState.choices, default=LegState.WAITING)
    sent_quantity = exact_or_none()
    """Less than ``quantity`` where free cash was short."""
    parent = models.OneToOneField(ParentOrder, on_delete=models.PROTECT, null=True, related_name="rebalance_leg")
    why = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["execution", "number"], name="rebalance_leg_once")]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.symbol} {self.state}"
