"""The closed sets of words in policies."""

from __future__ import annotations

from django.db import models


class OverrideState(models.TextChoices):
    """PENDING waits for another person; APPROVED holds until its time; the rest are final."""

    PENDING = "pending", "Waiting for approval"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    REVOKED = "revoked", "Revoked"
    EXPIRED = "expired", "Expired"


class LimitsState(models.TextChoices):
    """A draft may be edited; the one active version is what the desk trades under; the rest are history."""

    DRAFT = "draft", "Draft"
    ACTIVE = "active", "Active"
    RETIRED = "retired", "Retired"
    DISCARDED = "discarded", "Discarded"


class PublicationState(models.TextChoices):
    """PENDING waits for more people; the rest are final."""

    PENDING = "pending", "Waiting for approval"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    EXPIRED = "expired", "Expired"
