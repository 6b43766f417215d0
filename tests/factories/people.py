"""People with real second factors, and browsers that are signed in as them."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from django.test import Client
from django_otp.oath import totp

from apps.accounts.api.authentication import person
from apps.accounts.domain.roles import Role
from apps.accounts.models import TotpDevice, User
from apps.accounts.services.people import create_operator
from apps.core.context import Context, MfaLevel, service_context

PASSWORD = "correct horse battery staple"


@dataclass
class Person:
    user: User
    key: bytes
    recovery_codes: list[str]

    def code(self, steps: int = 0) -> str:
        """The authenticator's code now, or some steps of 30 seconds away."""
        return f"{totp(self.key, t0=-30 * steps):06d}"

    def fresh_code(self) -> str:
        """A code that works now even if one was used within these 30 seconds."""
        TotpDevice.objects.filter(user=self.user).update(
            last_t=-1, drift=0, throttling_failure_count=0, throttling_failure_timestamp=None
        )
        return self.code()

    def context(self, session: str = "test-session") -> Context:
        """The context of this person, signed in with a second factor."""
        return Context(actor=person(self.user), mfa=MfaLevel.OTP, session=session, origin="test")


def make_person(username: str = "", *roles: Role | str) -> Person:
    """A person with ``roles`` (viewer when none is given), a confirmed authenticator and recovery codes."""
    made = create_operator(
        service_context("bootstrap"),
        username=username or f"person-{uuid.uuid4().hex[:12]}",
        password=PASSWORD,
        roles=roles or (Role.VIEWER,),
    )
    secret = parse_qs(urlsplit(made.otpauth_uri).query)["secret"][0]
    return Person(user=made.user, key=base64.b32decode(secret), recovery_codes=made.recovery_codes)


class Browser(Client):
    """Django's test client with CSRF checked, JSON by default and an idempotency key on every POST."""

    def __init__(self) -> None:
        super().__init__(enforce_csrf_checks=True)

    def csrf(self) -> str:
        if "csrftoken" not in self.cookies:
            self.get("/api/v1/auth/state/")
        return str(self.cookies["csrftoken"].value)

    def send(self, path: str, data: object = None, *, method: str = "POST", key: str = "", **headers: str):
        named = {"X-CSRFToken": self.csrf(), "Idempotency-Key": key or uuid.uuid4().hex, **headers}
        return self.generic(method, path, json_text(data), content_type="application/json", headers=named)


def json_text(data: object) -> str:
    return json.dumps({} if data is None else data)


def signed_in(who: Person) -> Browser:
    """A browser that went through both steps of signing in."""
    browser = Browser()
    name = who.user.get_username()
    answer = browser.send("/api/v1/auth/sign-in/", {"username": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.content
    answer = browser.send("/api/v1/auth/second-factor/", {"code": who.fresh_code()})
    assert answer.status_code == 200, answer.content
    return browser
