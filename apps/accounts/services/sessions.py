"""Signed-in sessions: opened after the second factor, listed to their owner, ended at once when revoked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from types import ModuleType
from typing import Final
from uuid import UUID

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction

from apps.accounts.models import User, UserSession
from apps.accounts.permissions import Capability, require
from apps.audit.services import record
from apps.core.context import Context, MfaLevel
from apps.core.errors import NotFound
from apps.core.outbox import publish

IDLE: Final = timedelta(hours=1)
"""Without a request; NIST SP 800-63B allows one hour at AAL2. ``settings.GEKKO_SESSION_IDLE_S`` changes it."""
ABSOLUTE: Final = timedelta(hours=12)
SEEN_EVERY: Final = timedelta(seconds=60)
"""Last seen is written at most this often, so that reading costs no write."""


def idle_limit() -> timedelta:
    seconds: int | None = getattr(settings, "GEKKO_SESSION_IDLE_S", None)
    return IDLE if seconds is None else timedelta(seconds=seconds)


def open_session(ctx: Context, *, user: User, session_key: str, mfa: str, user_agent: str) -> UserSession:
    """Record a session that has just passed its second factor."""
    now = ctx.now()
    with transaction.atomic():
        row = UserSession.objects.create(
            user=user,
            session_key=session_key,
            mfa=mfa,
            user_agent=user_agent[:256],
            ip=ctx.ip[:64],
            created_at=now,
            last_seen_at=now,
            expires_at=now + ABSOLUTE,
        )
        record(
            replace(ctx, mfa=MfaLevel.OTP),
            event="accounts.sign_in.succeeded",
            object_type="session",
            object_id=str(row.pk),
            after={"user": str(user.pk), "mfa": mfa, "user_agent": row.user_agent, "expires_at": row.expires_at},
        )
    return row


def live_session(ctx: Context, *, user: User, session_id: str, seen: bool = True) -> UserSession | None:
    """The session when it is neither ended nor expired; an expired one is ended here. ``seen``: a person acts."""
    row = UserSession.objects.select_related("user").filter(pk=_uuid(session_id), user=user).first()
    if row is None or row.ended_at is not None:
        return None
    now = ctx.now()
    if now >= row.expires_at or now - row.last_seen_at > idle_limit():
        reason = "too old" if now >= row.expires_at else "idle"
        end_sessions(ctx, user=user, sessions=[row], event="accounts.session.expired", reason=reason)
        return None
    if seen and now - row.last_seen_at >= SEEN_EVERY:
        UserSession.objects.filter(pk=row.pk).update(last_seen_at=now)
    return row


def sign_out(ctx: Context, *, user: User, session_id: str) -> None:
    """End one's own present session."""
    rows = UserSession.objects.filter(pk=_uuid(session_id), user=user, ended_at=None)
    end_sessions(ctx, user=user, sessions=rows, event="accounts.session.ended", reason="signed out")


def revoke_session(ctx: Context, *, session_id: UUID | str) -> UserSession:
    """End a session from outside: one's own, or anybody's with USERS_MANAGE. Its sockets close within seconds."""
    row = UserSession.objects.select_related("user").filter(pk=_uuid(session_id)).first()
    mine = row is not None and ctx.actor.user is not None and row.user_id == ctx.actor.user.pk
    if not mine:
        require(ctx, Capability.USERS_MANAGE, object_type="session", object_id=str(session_id))
    if row is None:
        raise NotFound(f"no session {session_id}")
    end_sessions(ctx, user=row.user, sessions=[row], event="accounts.session.revoked", reason="revoked")
    row.refresh_from_db()
    return row


def end_all_sessions(ctx: Context, *, user: User, reason: str, keep: str = "") -> int:
    """End every session of ``user`` but ``keep``, as after a change of factor or a closed account."""
    rows = UserSession.objects.filter(user=user, ended_at=None).exclude(pk=_uuid(keep))
    return end_sessions(ctx, user=user, sessions=rows, event="accounts.session.revoked", reason=reason)


def end_sessions(ctx: Context, *, user: User, sessions: Iterable[UserSession], event: str, reason: str) -> int:
    """End the open ones among ``sessions`` in one transaction, with an entry and a message for each."""
    ended = 0
    with transaction.atomic():
        wanted = [row.pk for row in sessions]
        rows = UserSession.objects.select_for_update().filter(pk__in=wanted, ended_at=None).order_by("pk")
        for row in list(rows):
            row.ended_at, row.end_reason = ctx.now(), reason[:64]
            row.save(update_fields=["ended_at", "end_reason"])
            _store().SessionStore(session_key=row.session_key).delete()
            publish(
                ctx,
                topic="sessions",
                kind="session.revoked",
                key=str(user.pk),
                data={"user": str(user.pk), "session": str(row.pk), "reason": reason},
            )
            record(ctx, event=event, object_type="session", object_id=str(row.pk), after={"reason": reason})
            ended += 1
    return ended


def rekey_session(session_id: str, session_key: str) -> None:
    """Follow a rotated key."""
    UserSession.objects.filter(pk=_uuid(session_id), ended_at=None).update(session_key=session_key)


def rotate(session: SessionBase) -> str:
    """A new key for the same content, so that a key seen before this moment is worth nothing after it."""
    session.cycle_key()
    return str(session.session_key)


def _store() -> ModuleType:
    return import_module(settings.SESSION_ENGINE)


def _uuid(text: UUID | str) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        return UUID(int=0)
