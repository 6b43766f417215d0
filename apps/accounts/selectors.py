"""Reading people, sessions and tokens."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.models import ApiToken, RecoveryCodeDevice, TotpDevice, User, UserSession
from apps.accounts.permissions import Capability, capabilities, require
from apps.core.context import Context


def own_sessions(ctx: Context) -> QuerySet[UserSession]:
    """The caller's sessions, open ones and those that ended, newest first."""
    return UserSession.objects.filter(user_id=_own_id(ctx))


def own_tokens(ctx: Context) -> QuerySet[ApiToken]:
    tokens: QuerySet[ApiToken] = ApiToken.objects.filter(user_id=_own_id(ctx))
    return tokens


def users(ctx: Context) -> QuerySet[User]:
    """Everybody with their roles. Needs USERS_VIEW."""
    require(ctx, Capability.USERS_VIEW, object_type="user", object_id="*")
    return User.objects.prefetch_related("role_assignments")


def profile(ctx: Context) -> dict[str, Any]:
    """What the signed-in person's own pages show."""
    user = ctx.actor.user
    if user is None:
        return {}
    device = TotpDevice.objects.filter(user=user, confirmed=True).first()
    recovery = RecoveryCodeDevice.objects.filter(user=user).first()
    return {
        "id": str(user.pk),
        "username": user.get_username(),
        "roles": list(ctx.actor.roles),
        "capabilities": sorted(capability.value for capability in capabilities(ctx)),
        "authenticator": {"name": device.name, "last_used_at": device.last_used_at} if device else None,
        "recovery_codes_left": recovery.left() if recovery else 0,
    }


def roles_of(user_id: UUID | str) -> tuple[str, ...]:
    """The roles that a user holds now; empty for a closed or unknown account."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    return user.role_names() if user else ()


def _own_id(ctx: Context) -> UUID:
    return ctx.actor.user.pk if ctx.actor.user is not None else UUID(int=0)
