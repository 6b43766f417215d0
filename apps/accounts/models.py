"""People, and what proves that they are who they say."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models

from apps.core.ids import new_id


class User(AbstractUser):
    """A person. Roles are in ``RoleAssignment``; Django's groups are not used."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
