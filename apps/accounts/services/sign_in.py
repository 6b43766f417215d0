"""Sign-in in two steps: name and password, then the code. Neither tells which part was wrong."""

from __future__ import annotations

import hashlib
import hmac
import math
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction

from apps.accounts.devices import TotpDevice
from apps.accounts.domain.throttle import FORGET_S, wait_after
from apps.accounts.models import SignInThrottle, User
from apps.accounts.services.factors import check_totp
from apps.audit.services import record, record_denied
from apps.core.context import Context
from apps.core.errors import Invalid, SignInRefused, Throttled

PENDING_LIFETIME = timedelta(minutes=5)
"""Between the password and the code."""


def sign_in_password(ctx: Context, *, username: str, password: str) -> User:
    """Step one. The user that comes back is not signed in: only the second step may be tried for it.

    An unknown name costs the same hash as a known one. Raises Throttled with the seconds left, SignInRefused.
    """
    pair = _pair(username, ctx.ip)
    _wait_if_throttled(ctx, pair, username)
    user = User.objects.filter(username=username).first()
    if user is None:
        make_password(password)
    right = user is not None and check_password(password, user.password) and user.is_active
    if user is None or not right:
        left = _count_failure(ctx, pair)
        _denied(ctx, "accounts.sign_in.refused", username, "name or password is wrong")
        raise SignInRefused("name or password is wrong", retry_after_s=left)
    SignInThrottle.objects.filter(pk=pair).delete()
    with transaction.atomic():
        record(ctx, event="accounts.sign_in.password_accepted", object_type="user", object_id=str(user.pk), after=None)
    return user


def check_present_password(ctx: Context, *, user: User, password: str) -> None:
    """A signed-in person's own password, with the same wait after misses as at sign-in. Raises Invalid, Throttled."""
    name = user.get_username()
    pair = _pair(name, ctx.ip)
    _wait_if_throttled(ctx, pair, name)
    if not check_password(password, user.password):
        _count_failure(ctx, pair)
        _denied(ctx, "accounts.sign_in.refused", name, "the present password is not right")
        raise Invalid("the present password is not right", field="old")
    SignInThrottle.objects.filter(pk=pair).delete()


def verify_second_factor(ctx: Context, *, user: User, code: str) -> TotpDevice:
    """Step two: the code of the person's authenticator. Raises WrongCode, Throttled, SignInRefused if closed."""
    user.refresh_from_db()
    if not user.is_active:
        raise SignInRefused("name or password is wrong")
    return check_totp(ctx, user=user, code=code)


def _pair(username: str, ip: str) -> str:
    """The keyed hash of (name, address): what people type as a name may be their password."""
    text = f"{username.strip().lower()}\n{ip}".encode()
    return hmac.new(settings.GEKKO_RECOVERY_PEPPER, b"sign in\n" + text, hashlib.sha256).hexdigest()


def _wait_if_throttled(ctx: Context, pair: str, username: str) -> None:
    row = SignInThrottle.objects.filter(pk=pair).first()
    if row is None or ctx.now() - row.failed_at > timedelta(seconds=FORGET_S):
        return
    left = wait_after(row.failures) - (ctx.now() - row.failed_at).total_seconds()
    if left > 0:
        seconds = math.ceil(left)
        _denied(ctx, "accounts.sign_in.throttled", username, f"{row.failures} failures in a row")
        raise Throttled(f"too many failed sign-ins; try again in {seconds} s", retry_after_s=seconds)


def _count_failure(ctx: Context, pair: str) -> int:
    """One more failure; the seconds to wait before the next try."""
    with transaction.atomic():
        row, new = SignInThrottle.objects.select_for_update().get_or_create(
            pk=pair, defaults={"failures": 1, "failed_at": ctx.now()}
        )
        if not new:
            forgotten = ctx.now() - row.failed_at > timedelta(seconds=FORGET_S)
            row.failures = 1 if forgotten else row.failures + 1
            row.failed_at = ctx.now()
            row.save()
    return wait_after(row.failures)


def _denied(ctx: Context, event: str, username: str, reason: str) -> None:
    """The name is recorded only when it is somebody's: other text may be a password in the wrong field."""
    known = User.objects.filter(username=username).values_list("pk", flat=True).first()
    record_denied(
        ctx,
        event=event,
        object_type="user",
        object_id=str(known or "unknown"),
        reason=reason,
        fields={"username": username if known else "[not a known name]"},
    )
