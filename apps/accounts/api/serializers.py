"""Shapes of the auth endpoints."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.domain.roles import ROLE_CHOICES
from apps.accounts.models import ApiToken, User, UserSession


class SignInInput(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)


class CodeInput(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=64)


class StepUpInput(CodeInput):
    action = serializers.CharField(max_length=64)
    object_id = serializers.CharField(max_length=128)


class StepUpOutput(serializers.Serializer[Any]):
    grant = serializers.UUIDField()
    expires_at = serializers.DateTimeField()


class EnrolInput(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=64, required=False)
    """A code of the present authenticator; not needed after a recovery code."""
    name = serializers.CharField(max_length=64, default="Authenticator")


class EnrolOutput(serializers.Serializer[Any]):
    device_id = serializers.IntegerField()
    uri = serializers.CharField()
    secret = serializers.CharField()
    qr_svg = serializers.CharField()


class ConfirmInput(CodeInput):
    device_id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)


class PasswordInput(serializers.Serializer[Any]):
    old = serializers.CharField(max_length=1024, trim_whitespace=False)
    new = serializers.CharField(max_length=1024, trim_whitespace=False)


class RecoveryCodesOutput(serializers.Serializer[Any]):
    codes = serializers.ListField(child=serializers.CharField())


class SessionInfo(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    expires_at = serializers.DateTimeField()
    idle_s = serializers.IntegerField()


class ProfileOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    username = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    capabilities = serializers.ListField(child=serializers.CharField())
    authenticator = serializers.DictField(allow_null=True)
    recovery_codes_left = serializers.IntegerField()


class StateOutput(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=["anonymous", "second_factor", "enrol", "signed_in"])
    csrf_token = serializers.CharField()
    user = ProfileOutput(allow_null=True)
    session = SessionInfo(allow_null=True)


class SessionOutput(serializers.ModelSerializer[UserSession]):
    current = serializers.SerializerMethodField()

    class Meta:
        model = UserSession
        fields = (
            "id",
            "mfa",
            "user_agent",
            "ip",
            "created_at",
            "last_seen_at",
            "expires_at",
            "ended_at",
            "end_reason",
            "current",
        )

    def get_current(self, row: UserSession) -> bool:
        return str(row.pk) == self.context.get("current")


class TokenInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=64)
    scopes = serializers.ListField(child=serializers.CharField(max_length=64), min_length=1, max_length=64)
    lifetime_days = serializers.IntegerField(min_value=1, max_value=365, default=30)


class TokenOutput(serializers.ModelSerializer[ApiToken]):
    id = serializers.UUIDField(source="public_id")
    expires_at = serializers.DateTimeField(source="expiry")

    class Meta:
        model = ApiToken
        fields = ("id", "name", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")


class IssuedTokenOutput(TokenOutput):
    token = serializers.CharField(read_only=True)

    class Meta(TokenOutput.Meta):
        fields = (*TokenOutput.Meta.fields, "token")  # type: ignore[assignment]  # one field longer than its base


class RoleField(serializers.ChoiceField):
    """One of the roles."""

    def __init__(self, **more: Any) -> None:
        super().__init__(choices=ROLE_CHOICES, **more)


class RoleInput(serializers.Serializer[Any]):
    role = RoleField()


class UserOutput(serializers.ModelSerializer[User]):
    roles = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ("id", "username", "is_active", "is_staff", "last_login", "date_joined", "roles", "version")

    def get_roles(self, user: User) -> list[str]:
        return sorted(held.role for held in user.role_assignments.all())


class UserInput(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    roles = serializers.ListField(child=RoleField(), min_length=1)


class NewUserOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    username = serializers.CharField()
    password = serializers.CharField()
    otpauth_uri = serializers.CharField()
    recovery_codes = serializers.ListField(child=serializers.CharField())
