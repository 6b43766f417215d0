"""A person's decision that the venue is right: its balance of an asset is to be taken as ours."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db import models

from apps.core.ids import new_id
from apps.trading.models.fields import exact
from apps.trading.models.reference import Venue


class AdoptionState(models.TextChoices):
    """PENDING waits for another person, APPROVED for the worker; the rest are final."""

    PENDING = "pending", "Waiting for approval"
    APPROVED = "approved", "Approved"
    DONE = "done", "Adopted"
    EXPIRED = "expired", "Expired"


OPEN_ADOPTIONS: Final = (AdoptionState.PENDING, AdoptionState.APPROVED)


class BalanceAdoption(models.Model):
    """One asset of one venue: ``ours`` and ``theirs`` as the reconciliation told them. Nothing else is adopted."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="balance_adoptions")
    asset = models.CharField(max_length=48)
    ours = exact(default=None)
    theirs = exact(default=None)
    state = models.CharField(max_length=8, choices=AdoptionState.choices)
    reason = models.CharField(max_length=500)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    requested_by_name = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    approved_by_name = models.CharField(max_length=150, blank=True)
    approved_at = models.DateTimeField(null=True)
    carried_out_at = models.DateTimeField(null=True)
    """When the worker adopted the balance on this decision, by its journal."""
    done_at = models.DateTimeField(null=True)
    version = models.IntegerField(default=1)

    class Meta:
        ordering = ["-requested_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["venue", "asset"],
                condition=models.Q(state__in=["pending", "approved"]),
                name="balance_adoption_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.asset} {self.ours} -> {self.theirs} {self.state}"
