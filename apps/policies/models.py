"""Rules that people set: risk limits, versioned, and how many people an action needs."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from apps.core.ids import new_id
from apps.policies.choices import LimitsState, OverrideState, PublicationState


class RiskLimits(models.Model):
    """One version of the desk's risk limits; content is frozen once it was published."""

    id = models.BigAutoField(primary_key=True)
    number = models.PositiveIntegerField(unique=True)
    """The version that orders, releases and runs refer to."""
    state = models.CharField(max_length=16, choices=LimitsState.choices, default=LimitsState.DRAFT)
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
    discarded_by = models.CharField(max_length=150, blank=True)
    discarded_at = models.DateTimeField(null=True)
    discard_reason = models.CharField(max_length=500, blank=True)
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


class LimitsPublication(models.Model):
    """A wish to publish one version of the limits, exactly as ``digest`` says, that other people must consent to."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    limits = models.ForeignKey(RiskLimits, on_delete=models.PROTECT, related_name="publications")
    digest = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=PublicationState.choices, default=PublicationState.PENDING)
    people = models.PositiveSmallIntegerField()
    """How many must consent, the one who asks included; as policy said when it was asked for."""
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_by_name = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_by_name = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)
    version = models.IntegerField(default=1)

    class Meta:
        ordering = ["-requested_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["limits"], condition=models.Q(state=PublicationState.PENDING), name="publication_open_once"
            ),
            models.CheckConstraint(condition=models.Q(people__gte=2), name="publication_more_than_one_person"),
        ]

    def __str__(self) -> str:
        return f"publication of limits {self.limits_id} ({self.state})"


class PublicationConsent(models.Model):
    """One person's consent to a publication; whoever asks consents first, so nobody counts twice."""

    id = models.BigAutoField(primary_key=True)
    publication = models.ForeignKey(LimitsPublication, on_delete=models.PROTECT, related_name="consents")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=150)
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["publication", "user"], name="publication_consent_once")]

    def __str__(self) -> str:
        return f"{self.name} for {self.publication_id}"


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


class LimitOverride(models.Model):
    """Leave to exceed one limit of one scope up to an amount, until a time: asked for and approved by two people."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    scope = models.CharField(max_length=80)
    code = models.CharField(max_length=48)
    amount = models.CharField(max_length=48)
    """Canonical decimal in the limit's own unit; signed as it stands."""
    until = models.DateTimeField()
    reason = models.CharField(max_length=500)
    state = models.CharField(max_length=8, choices=OverrideState.choices, default=OverrideState.PENDING)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_by_name = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    decided_by_name = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)
    ended_by_name = models.CharField(max_length=150, blank=True)
    ended_at = models.DateTimeField(null=True)
    digest = models.CharField(max_length=64, blank=True)
    signature = models.CharField(max_length=128, blank=True)
    """Ed25519 over id and digest, in hex, made when it was approved."""
    version = models.IntegerField(default=1)

    class Meta:
        ordering = ["-requested_at"]
        indexes = [models.Index(fields=["state", "until"], name="override_active")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(approved_by=None) | ~models.Q(approved_by=models.F("requested_by")),
                name="override_two_people",
            ),
            models.CheckConstraint(
                condition=~models.Q(state=OverrideState.APPROVED)
                | (models.Q(approved_by__isnull=False) & ~models.Q(signature="")),
                name="override_approved_by_somebody",
            ),
            models.CheckConstraint(
                condition=models.Q(until__gt=models.F("requested_at")), name="override_until_after_request"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} of {self.scope} to {self.amount} ({self.state})"
