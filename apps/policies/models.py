"""Rules that people set: risk limits, versioned, and how many people an action needs."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from apps.policies.choices import LimitsState


class RiskLimits(models.Model):
    """One version of the desk's risk limits; content is frozen once it was published."""

    id = models.BigAutoField(primary_key=True)
    number = models.PositiveIntegerField(unique=True)
    """The version that orders, releases and runs refer to."""
    state = models.CharField(max_length=8, choices=LimitsState.choices, default=LimitsState.DRAFT)
    limits = models.JSONField()
    digest = models.CharField(max_length=64)
    signature = models.CharField(max_length=128, blank=True)
    """Ed25519 over number and digest, in hex, made when it was published."""
    note = models.CharField(max_length=500, blank=True)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    published_by = models.CharField(max_length=150, blank=True)
    published_at = models.DateTimeField(null=True)
    retired_at = models.DateTimeField(null=True)
    version = models.IntegerField(default=1)
    """Of this row, for If-Match."""

    class Meta:
        ordering = ["-number"]
        verbose_name_plural = "risk limits"
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state=LimitsState.ACTIVE), name="limits_active_once"
            )
        ]

    def __str__(self) -> str:
        return f"limits {self.number} ({self.state})"


class ApprovalRule(models.Model):
    """How many people an action needs in a mode, the one who asks included."""

    id = models.BigAutoField(primary_key=True)
    action = models.CharField(max_length=64)
    mode = models.CharField(max_length=8)
    people = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])

    class Meta:
        ordering = ["action", "mode"]
        constraints = [
            models.UniqueConstraint(fields=["action", "mode"], name="approval_rule_once"),
            models.CheckConstraint(condition=models.Q(people__gte=1), name="approval_rule_one_person"),
        ]

    def __str__(self) -> str:
        return f"{self.action} on {self.mode}: {self.people}"
