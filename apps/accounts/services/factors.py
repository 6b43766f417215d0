"""Checking and changing second factors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import django_otp
from django.db import transaction

from apps.accounts.devices import otpauth_uri
from apps.accounts.models import RecoveryCodeDevice, TotpDevice, User
from apps.audit.services import record, record_denied
from apps.core.context import Context
from apps.core.errors import Conflict, NotFound, Throttled, WrongCode


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """A begun authenticator: ``uri`` and ``secret`` are shown now and never again."""

    device_id: int
    uri: str
    secret: str


def check_totp(ctx: Context, *, user: User, code: str) -> TotpDevice:
    """Use up ``code`` on the person's authenticator.

    Must not run inside a transaction that an error would roll back: the count of misses has to stay.
    Raises Throttled (``retry_after_s``) while the device waits, WrongCode otherwise; both are recorded.
    """
    devices: list[TotpDevice] = list(TotpDevice.objects.filter(user=user, confirmed=True))
    for device in devices:
        wait_if_throttled(ctx, device, user)
        if django_otp.verify_token(user, device.persistent_id, code) is not None:
            device.refresh_from_db()
            return device
    used = any(device.was_used(code) for device in devices)
    reason = "the code was used before" if used else "the code is not right"
    record_denied(
        ctx, event="accounts.totp.refused", object_type="user", object_id=str(user.pk), reason=reason, fields=None
    )
    if used:
        raise WrongCode("that code was used already; wait for the next one", reason="used")
    raise WrongCode("the code is not right; codes change every 30 seconds", reason="wrong")


def wait_if_throttled(ctx: Context, device: TotpDevice | RecoveryCodeDevice, user: User) -> None:
    """Throttled with the seconds left, when the device does not take a code yet."""
    allowed, why = device.verify_is_allowed()
    if allowed:
        return
    left = max(1, math.ceil((why["locked_until"] - ctx.now()).total_seconds()))
    record_denied(
        ctx,
        event="accounts.totp.refused",
        object_type="user",
        object_id=str(user.pk),
        reason="too many wrong codes",
        fields={"failures": why["failure_count"], "retry_after_s": left},
    )
    raise Throttled(f"too many wrong codes; try again in {left} s", retry_after_s=left)


def begin_totp(ctx: Context, *, user: User, name: str = "Authenticator") -> Enrolment:
    """Start a new authenticator. The present one goes on working until the new one is confirmed."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        TotpDevice.objects.filter(user=user, confirmed=False).delete()
        device, key = TotpDevice.issue(user=user, name=name[:64])
        record(
            ctx,
            event="accounts.totp.enrolment_started",
            object_type="user",
            object_id=str(user.pk),
            after={"device": device.pk, "name": device.name},
        )
    uri = otpauth_uri(username=user.get_username(), key=key)
    return Enrolment(device_id=device.pk, uri=uri, secret=uri.split("secret=", 1)[1].split("&", 1)[0])


def confirm_totp(ctx: Context, *, user: User, device_id: int, code: str) -> TotpDevice:
    """Make the begun authenticator the one, after a right code from it; older ones end.

    NotFound for another's device, Conflict when it is confirmed already, WrongCode, Throttled.
    """
    device: TotpDevice | None = TotpDevice.objects.filter(user=user, pk=device_id).first()
    if device is None:
        raise NotFound(f"no begun authenticator {device_id}; start again")
    if device.confirmed:
        raise Conflict("this authenticator is confirmed already")
    wait_if_throttled(ctx, device, user)
    if django_otp.verify_token(user, device.persistent_id, code) is None:
        record_denied(
            ctx,
            event="accounts.totp.refused",
            object_type="user",
            object_id=str(user.pk),
            reason="the code of the new authenticator is not right",
        )
        raise WrongCode("the code is not right; check that the authenticator shows the new entry", reason="wrong")
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        device.refresh_from_db(from_queryset=TotpDevice.objects.select_for_update())
        device.confirmed = True
        device.save(update_fields=["confirmed"])
        ended = list(TotpDevice.objects.filter(user=user).exclude(pk=device.pk).values_list("pk", flat=True))
        TotpDevice.objects.filter(pk__in=ended).delete()
        record(
            ctx,
            event="accounts.totp.enrolled",
            object_type="user",
            object_id=str(user.pk),
            before={"devices": ended},
            after={"device": device.pk, "name": device.name},
        )
    return device


def regenerate_recovery_codes(ctx: Context, *, user: User) -> list[str]:
    """Ten fresh codes, shown once; the old set ends."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        device, _ = RecoveryCodeDevice.objects.get_or_create(user=user, defaults={"name": "Recovery codes"})
        left = device.left()
        shown: list[str] = device.issue()
        record(
            ctx,
            event="accounts.recovery_codes.regenerated",
            object_type="user",
            object_id=str(user.pk),
            before={"left": left},
            after={"left": len(shown)},
        )
    return shown


def use_recovery_code(ctx: Context, *, user: User, code: str) -> int:
    """Use a recovery code up and tell how many are left. It proves nothing but the right to enrol anew."""
    device: RecoveryCodeDevice | None = RecoveryCodeDevice.objects.filter(user=user).first()
    if device is not None:
        wait_if_throttled(ctx, device, user)
        if django_otp.verify_token(user, device.persistent_id, code) is not None:
            left = device.left()
            with transaction.atomic():
                record(
                    ctx,
                    event="accounts.recovery_code.used",
                    object_type="user",
                    object_id=str(user.pk),
                    after={"left": left},
                )
            return left
    record_denied(
        ctx,
        event="accounts.totp.refused",
        object_type="user",
        object_id=str(user.pk),
        reason="the recovery code is not right",
    )
    raise WrongCode("the recovery code is not right or was used already", reason="wrong")
