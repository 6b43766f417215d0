"""People, and what proves that they are who they say."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import AbstractUser
from django.db import models
from knox.models import AbstractAuthToken

from apps.accounts.devices import RecoveryCodeDevice, TotpDevice
from apps.accounts.domain.roles import ROLE_CHOICES
from apps.core.ids import new_id

__all__ = [
    "ApiToken",
    "RecoveryCode",
    "RecoveryCodeDevice",
    "RoleAssignment",
    "SignInThrottle",
    "StepUpGrant",
    "TotpDevice",
    "User",
    "UserSession",
]


class User(AbstractUser):  # type: ignore[django-manager-missing]  # devices and tokens have untyped bases
    """A person. Roles are in ``RoleAssignment``; Django's groups are not used."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    version = models.PositiveIntegerField(default=1)

    def role_names(self) -> tuple[str, ...]:
        return tuple(sorted(self.role_assignments.values_list("role", flat=True)))


class RoleAssignment(models.Model):
    """That a person holds a role, since when and by whose decision."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="role_assignments")
    role = models.CharField(max_length=32, choices=ROLE_CHOICES)
    assigned_at = models.DateTimeField()
    assigned_by = models.CharField(max_length=150)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "role"], name="role_once")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role}"


class RecoveryCode(models.Model):
    """One recovery code, as a keyed hash; ``used_at`` makes it worthless."""

    id = models.BigAutoField(primary_key=True)
    device = models.ForeignKey(RecoveryCodeDevice, on_delete=models.CASCADE, related_name="codes")
    digest = models.BinaryField(max_length=32)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["device", "digest"], name="recovery_code_once")]

    def __str__(self) -> str:
        return f"recovery code {self.pk}"


class UserSession(models.Model):
    """A signed-in browser, as its owner sees it in the list of sessions."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    session_key = models.CharField(max_length=40, unique=True)
    mfa = models.CharField(max_length=16)
    """Kind of the second factor: totp."""
    user_agent = models.CharField(max_length=256, blank=True)
    ip = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=64, blank=True)

    class Meta:
        indexes = [models.Index(fields=["user", "-last_seen_at"], name="session_by_user")]

    def __str__(self) -> str:
        return f"session of {self.user} from {self.ip}"


class StepUpGrant(models.Model):
    """Leave for one action on one object, bought with a fresh code; used once or not at all."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    session = models.CharField(max_length=64)
    action = models.CharField(max_length=64)
    object_id = models.CharField(max_length=128)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    consumed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.action} {self.object_id}"


class ApiToken(AbstractAuthToken):  # type: ignore[misc]  # knox ships no types
    """A token for programs: only its hash is kept; scopes limit what its owner's roles would allow."""

    public_id: models.UUIDField[UUID, UUID] = models.UUIDField(default=new_id, unique=True, editable=False)
    name: models.CharField[str, str] = models.CharField(max_length=64)
    scopes: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    created_at: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    last_used_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    revoked_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"token {self.name}"


class SignInThrottle(models.Model):
    """Failures in a row for one (name, address): the pair is kept as a keyed hash, as unknown names may be secrets."""

    pair = models.CharField(primary_key=True, max_length=64)
    failures = models.PositiveIntegerField(default=0)
    failed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.failures} failures"
