"""Second factors as django-otp devices, with their secrets sealed or hashed.

Verify only through ``apps.accounts.services.factors``, which calls ``django_otp.verify_token``: it locks the device's
row, without which two requests could both use one code.
"""

from __future__ import annotations

import base64
import secrets
import time
from typing import Any, Final
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import models
from django.utils import timezone
from django_otp.models import Device, ThrottlingMixin, TimestampMixin
from django_otp.oath import TOTP

from apps.accounts.domain.codes import BYTES, COUNT, code_digest, format_code, normalise_code
from apps.core import crypto

ISSUER: Final = "Gekko"
KEY_BYTES: Final = 20
STEP_S: Final = 30
TOLERANCE: Final = 1
"""Steps before and after the present one that are accepted."""


class TotpDevice(TimestampMixin, ThrottlingMixin, Device):  # type: ignore[misc]  # django-otp ships no types
    """An authenticator app. Its key is sealed for this very row (AES-256-GCM, place as associated data)."""

    sealed_key: models.BinaryField[bytes, bytes] = models.BinaryField(null=True)
    drift: models.SmallIntegerField[int, int] = models.SmallIntegerField(default=0)
    last_t: models.BigIntegerField[int, int] = models.BigIntegerField(default=-1)
    """The step of the last accepted code; only later ones are accepted."""

    class Meta(Device.Meta):  # type: ignore[misc]  # django-otp ships no types
        abstract = False
        app_label = "accounts"

    @classmethod
    def issue(cls, *, user: Any, name: str, confirmed: bool = False) -> tuple[TotpDevice, bytes]:
        """A new device and its key, which cannot be read by anybody afterwards except to verify codes.

        Two writes, as the key is sealed for the primary key; call inside a transaction.
        """
        device = cls.objects.create(user=user, name=name, confirmed=confirmed)
        key = secrets.token_bytes(KEY_BYTES)
        device.sealed_key = crypto.seal(key, place=device.place)
        device.save(update_fields=["sealed_key"])
        return device, key

    @property
    def place(self) -> tuple[str, str, str]:
        return ("accounts.TotpDevice", "sealed_key", str(self.pk))

    def verify_token(self, token: str) -> bool:
        """Whether ``token`` is the code of a step later than the last accepted one; misses make the next try wait."""
        allowed, _ = self.verify_is_allowed()
        if not allowed:
            return False
        digits = "".join(str(token).split())
        totp = self._totp()
        if (
            digits.isascii()
            and digits.isdigit()
            and len(digits) == 6
            and totp.verify(int(digits), TOLERANCE, self.last_t + 1)
        ):
            self.last_t, self.drift = totp.t(), totp.drift
            self.throttle_reset(commit=False)
            self.set_last_used_timestamp(commit=False)
            self.save()
            return True
        # A right code sent twice, as by a double click, is refused but is no guess.
        if not self.was_used(token):
            self.throttle_increment(commit=True)
        return False

    def was_used(self, token: str) -> bool:
        """Whether ``token`` is right for now but its step was accepted before: the person must wait for the next."""
        digits = "".join(str(token).split())
        if not (digits.isascii() and digits.isdigit() and len(digits) == 6):
            return False
        totp = self._totp()
        return bool(totp.verify(int(digits), TOLERANCE)) and totp.t() <= self.last_t

    def _totp(self) -> TOTP:
        totp = TOTP(crypto.unseal(self.sealed_key, place=self.place), STEP_S, 0, 6, self.drift)
        totp.time = time.time()
        return totp

    def get_throttle_factor(self) -> float:
        return 1.0


class RecoveryCodeDevice(TimestampMixin, ThrottlingMixin, Device):  # type: ignore[misc]  # django-otp ships no types
    """Ten codes for the day when the authenticator is gone."""

    class Meta(Device.Meta):  # type: ignore[misc]  # django-otp ships no types
        abstract = False
        app_label = "accounts"

    def issue(self) -> list[str]:
        """Ten fresh codes, shown once; the old set ends. Call inside a transaction."""
        self.codes.all().delete()
        shown = [format_code(secrets.token_bytes(BYTES)) for _ in range(COUNT)]
        model = self.codes.model
        model.objects.bulk_create([model(device=self, digest=self._digest(code)) for code in shown])
        return shown

    def verify_token(self, token: str) -> bool:
        """Use a code up. The row of this device is locked by the caller, so one code works once."""
        allowed, _ = self.verify_is_allowed()
        if not allowed:
            return False
        digits = normalise_code(token)
        used = 0
        if digits is not None:
            fresh = self.codes.filter(digest=self._digest(digits), used_at=None)
            used = fresh.update(used_at=timezone.now())
        if not used:
            self.throttle_increment(commit=True)
            return False
        self.throttle_reset(commit=False)
        self.set_last_used_timestamp(commit=False)
        self.save()
        return True

    def left(self) -> int:
        return int(self.codes.filter(used_at=None).count())

    def _digest(self, code: str) -> bytes:
        return code_digest(normalise_code(code) or "", settings.GEKKO_RECOVERY_PEPPER, str(self.user_id))

    def get_throttle_factor(self) -> float:
        return 1.0


def otpauth_uri(*, username: str, key: bytes) -> str:
    """The Key URI that an authenticator app scans."""
    secret = base64.b32encode(key).decode().rstrip("=")
    query = urlencode(
        {"secret": secret, "issuer": ISSUER, "algorithm": "SHA1", "digits": 6, "period": STEP_S}, quote_via=quote
    )
    return f"otpauth://totp/{quote(f'{ISSUER}:{username}')}?{query}"
