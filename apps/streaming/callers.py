"""Who stands behind a websocket: the same verified session that the pages ask for, looked up afresh each time."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django_otp.middleware import OTPMiddleware

from apps.accounts.api.authentication import verified_session
from apps.core.api.context import context_of
from apps.core.context import Context


def _store() -> ModuleType:
    return import_module(settings.SESSION_ENGINE)


def caller_of(session_key: str | None, address: str) -> Context | None:
    """The context of the person whose browser holds ``session_key``; None unless signed in with a second factor."""
    if not session_key:
        return None
    request = HttpRequest()
    request.path = "/ws/"
    request.META["REMOTE_ADDR"] = address
    request.session = _store().SessionStore(session_key)
    request.user = get_user(request)
    # The pages' own middleware, so that pages and sockets can never differ in what they call verified.
    OTPMiddleware(lambda _request: None)(request)
    # An open socket is no sign of a person: it does not keep the session from idling out.
    if verified_session(request, seen=False) is None:
        return None
    return context_of(request)
