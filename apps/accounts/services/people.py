"""People and their roles."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from apps.accounts.devices import TotpDevice, otpauth_uri
from apps.accounts.domain.roles import Role
from apps.accounts.models import ApiToken, RoleAssignment, User
from apps.accounts.permissions import Capability, require
from apps.accounts.services.factors import regenerate_recovery_codes
from apps.accounts.services.sessions import end_all_sessions
from apps.accounts.services.sign_in import check_present_password
from apps.audit.services import record
from apps.core.context import Context
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.outbox import publish

ALL_HANDS = (Role.OPERATOR, Role.RISK_OFFICER, Role.DEPLOYER, Role.AUDITOR, Role.ADMINISTRATOR)
"""What the first person of a desk of one needs."""


@dataclass(frozen=True, kw_only=True)
class NewOperator:
    """Shown once, at the end of setting up."""

    user: User
    password: str = field(repr=False)
    otpauth_uri: str = field(repr=False)
    recovery_codes: list[str] = field(repr=False)


def create_operator(
    ctx: Context,
    *,
    username: str,
    password: str | None = None,
    roles: Iterable[Role | str] = ALL_HANDS,
    is_staff: bool = True,
) -> NewOperator:
    """A person with a confirmed authenticator, recovery codes and roles; a missing password is made.

    Needs USERS_MANAGE. Raises Conflict for a taken name, Invalid for a weak password or an unknown role.
    """
    require(ctx, Capability.USERS_MANAGE, object_type="user", object_id=username)
    wanted = [parse_role(role) for role in roles]
    word = password or secrets.token_urlsafe(15)
    with transaction.atomic():
        user = _create(ctx, username=username, password=word, is_staff=is_staff)
        device, key = TotpDevice.issue(user=user, name="Authenticator", confirmed=True)
        RoleAssignment.objects.bulk_create(
            [
                RoleAssignment(user=user, role=role.value, assigned_at=ctx.now(), assigned_by=ctx.actor.name)
                for role in wanted
            ]
        )
        codes = regenerate_recovery_codes(ctx, user=user)
        record(
            ctx,
            event="accounts.user.created",
            object_type="user",
            object_id=str(user.pk),
            after={"username": username, "roles": [role.value for role in wanted], "device": device.pk},
        )
    uri = otpauth_uri(username=username, key=key)
    return NewOperator(user=user, password=word, otpauth_uri=uri, recovery_codes=codes)


def _create(ctx: Context, *, username: str, password: str, is_staff: bool) -> User:
    name = username.strip()
    if not name or len(name) > 150:
        raise Invalid(f"expected a name of 1 to 150 characters, was {len(name)}", field="username")
    user = User(username=name, is_staff=is_staff, date_joined=ctx.now())
    check_password_strength(password, user)
    if User.objects.filter(username=name).exists():
        raise Conflict(f"the name {name} is taken", field="username")
    user.set_password(password)
    user.save(force_insert=True)
    return user


def check_password_strength(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), field="password") from error


def reset_credentials(ctx: Context, *, username: str) -> NewOperator:
    """A new password, authenticator and recovery codes for somebody who lost them; sessions and tokens end.

    Needs USERS_MANAGE. NotFound for an unknown name.
    """
    require(ctx, Capability.USERS_MANAGE, object_type="user", object_id=username)
    word = secrets.token_urlsafe(15)
    with transaction.atomic():
        user = User.objects.select_for_update().filter(username=username).first()
        if user is None:
            raise NotFound(f"no user {username}")
        user.set_password(word)
        user.version += 1
        user.save(update_fields=["password", "version"])
        TotpDevice.objects.filter(user=user).delete()
        device, key = TotpDevice.issue(user=user, name="Authenticator", confirmed=True)
        tokens = ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=ctx.now())
        ended = end_all_sessions(ctx, user=user, reason="credentials reset")
        codes = regenerate_recovery_codes(ctx, user=user)
        record(
            ctx,
            event="accounts.user.credentials_reset",
            object_type="user",
            object_id=str(user.pk),
            after={"device": device.pk, "ended_sessions": ended, "revoked": tokens},
        )
    uri = otpauth_uri(username=username, key=key)
    return NewOperator(user=user, password=word, otpauth_uri=uri, recovery_codes=codes)


def assign_role(ctx: Context, *, user_id: UUID | str, role: Role | str) -> RoleAssignment:
    """Give a role; giving it again changes nothing. Needs USERS_MANAGE."""
    require(ctx, Capability.USERS_MANAGE, object_type="user", object_id=str(user_id))
    wanted = parse_role(role)
    with transaction.atomic():
        user = locked_user(user_id)
        before = user.role_names()
        held, new = RoleAssignment.objects.get_or_create(
            user=user, role=wanted.value, defaults={"assigned_at": ctx.now(), "assigned_by": ctx.actor.name}
        )
        if new:
            _changed(ctx, user, "accounts.role.assigned", before)
    return held


def remove_role(ctx: Context, *, user_id: UUID | str, role: Role | str) -> None:
    """Take a role. Needs USERS_MANAGE. The last administrator keeps the role: Conflict."""
    require(ctx, Capability.USERS_MANAGE, object_type="user", object_id=str(user_id))
    wanted = parse_role(role)
    with transaction.atomic():
        administrators = _locked_administrators()
        user = locked_user(user_id)
        before = user.role_names()
        if wanted is Role.ADMINISTRATOR and administrators == {user.pk}:
            raise Conflict("the last administrator cannot be removed; make another one first")
        gone, _ = RoleAssignment.objects.filter(user=user, role=wanted.value).delete()
        if not gone:
            raise NotFound(f"{user.username} does not have the role {wanted.value}")
        _changed(ctx, user, "accounts.role.removed", before)


def disable_user(ctx: Context, *, user_id: UUID | str) -> User:
    """Close an account and end its sessions. Needs USERS_MANAGE; never the last administrator."""
    require(ctx, Capability.USERS_MANAGE, object_type="user", object_id=str(user_id))
    with transaction.atomic():
        administrators = _locked_administrators()
        user = locked_user(user_id)
        if administrators == {user.pk}:
            raise Conflict("the last administrator cannot be closed out; make another one first")
        if user.is_active:
            user.is_active = False
            user.version += 1
            user.save(update_fields=["is_active", "version"])
            end_all_sessions(ctx, user=user, reason="account closed")
            record(ctx, event="accounts.user.disabled", object_type="user", object_id=str(user.pk), after=None)
    return user


def change_password(ctx: Context, *, user: User, old: str, new: str) -> User:
    """Change one's own password; every other session ends. Raises Invalid, Throttled."""
    check_present_password(ctx, user=user, password=old)
    check_password_strength(new, user)
    with transaction.atomic():
        user = locked_user(user.pk)
        user.set_password(new)
        user.version += 1
        user.save(update_fields=["password", "version"])
        end_all_sessions(ctx, user=user, reason="password changed", keep=ctx.session)
        record(ctx, event="accounts.user.password_changed", object_type="user", object_id=str(user.pk), after=None)
    return user


def parse_role(role: Role | str) -> Role:
    try:
        return Role(role)
    except ValueError:
        names = ", ".join(known.value for known in Role)
        raise Invalid(f"expected a role of {names}, was {role!r}", field="role") from None


def locked_user(user_id: UUID | str) -> User:
    try:
        return User.objects.select_for_update().get(pk=user_id)
    except (User.DoesNotExist, ValidationError):
        raise NotFound(f"no user {user_id}") from None


def _locked_administrators() -> set[UUID]:
    """Active administrators, their assignments locked in one order: two removals cannot both leave one."""
    rows = RoleAssignment.objects.select_for_update().filter(role=Role.ADMINISTRATOR.value, user__is_active=True)
    return {row.user_id for row in rows.order_by("pk")}


def _changed(ctx: Context, user: User, event: str, before: tuple[str, ...]) -> None:
    """A changed role counts at once: the version moves and open sockets are told to ask again."""
    user.version += 1
    user.save(update_fields=["version"])
    after = user.role_names()
    publish(
        ctx,
        topic="sessions",
        kind="session.roles_changed",
        key=str(user.pk),
        data={"user": str(user.pk), "roles": list(after)},
    )
    record(
        ctx,
        event=event,
        object_type="user",
        object_id=str(user.pk),
        before={"roles": before},
        after={"roles": after},
    )
