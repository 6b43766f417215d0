"""The browser's side of signing in: what the Django session holds between and after the two steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import django_otp
from django.contrib.auth import login, logout, update_session_auth_hash
from django.http import HttpRequest

from apps.accounts.api.authentication import SESSION_ID
from apps.accounts.models import TotpDevice, User
from apps.accounts.services.sessions import open_session, rekey_session, rotate
from apps.accounts.services.sign_in import PENDING_LIFETIME
from apps.core.context import Actor, ActorKind, Context
from apps.core.errors import NotAuthenticated

_PENDING: Final = "gekko_pending"
_BACKEND: Final = "django.contrib.auth.backends.ModelBackend"
SECOND_FACTOR: Final = "second_factor"
ENROL: Final = "enrol"


def start_pending(ctx: Context, request: HttpRequest, user: User, state: str) -> None:
    """Remember who is half signed in, under a new session key."""
    request.session[_PENDING] = {"user": str(user.pk), "at": ctx.now().isoformat(), "state": state}
    rotate(request.session)


def pending(ctx: Context, request: HttpRequest) -> tuple[User, str] | None:
    """Who is half signed in, and what may be done next: ``second_factor`` or ``enrol``. Forgotten after minutes."""
    kept: dict[str, Any] | None = request.session.get(_PENDING)
    if kept is None or ctx.now() - datetime.fromisoformat(kept["at"]) > PENDING_LIFETIME:
        return None
    user = User.objects.filter(pk=kept["user"], is_active=True).first()
    return (user, str(kept["state"])) if user else None


def required_pending(ctx: Context, request: HttpRequest, state: str) -> User:
    found = pending(ctx, request)
    if found is None or found[1] != state:
        raise NotAuthenticated("start again with your name and password; a sign-in waits five minutes for its code")
    return found[0]


def half(ctx: Context, user: User) -> Context:
    """The context of somebody who has given the password but no second factor: named, without any role."""
    actor = Actor(kind=ActorKind.USER, id=str(user.pk), name=user.get_username(), user=user)
    return replace(ctx, actor=actor)


def finish(ctx: Context, request: HttpRequest, user: User, device: TotpDevice) -> None:
    """Sign in for good: new session key, the device bound to it, the session listed."""
    request.session.pop(_PENDING, None)
    login(request, user, backend=_BACKEND)
    django_otp.login(request, device)
    agent = request.headers.get("User-Agent", "")
    row = open_session(ctx, user=user, session_key=str(request.session.session_key), mfa="totp", user_agent=agent)
    request.session[SESSION_ID] = str(row.pk)
    request.gekko_session = row  # type: ignore[attr-defined]  # HttpRequest is Django's place for such values


def keep_after_password_change(request: HttpRequest, user: User) -> None:
    """Stay signed in here: Django would drop a session whose password hash is the old one. The key is rotated."""
    update_session_auth_hash(request, user)
    rekey_session(request.session.get(SESSION_ID, ""), str(request.session.session_key))


def forget(request: HttpRequest) -> None:
    logout(request)
    request.gekko_session = None  # type: ignore[attr-defined]  # HttpRequest is Django's place for such values
