"""The closed sets of words in policies."""

from __future__ import annotations

from django.db import models


class LimitsState(models.TextChoices):
    """A draft may be edited; the one active version is what the desk trades under; retired ones are history."""

    DRAFT = "draft", "Draft"
    ACTIVE = "active", "Active"
    RETIRED = "retired", "Retired"
