"""Who a request comes from: a session that passed its second factor, or a scoped token. Nothing less is anybody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.accounts.models import ApiToken, User, UserSession
from apps.accounts.services.sessions import live_session
from apps.accounts.services.tokens import find_token
from apps.core.api.context import bare_context, context_filler, http_of
from apps.core.context import Actor, ActorKind, Context, MfaLevel

SESSION_ID: Final = "gekko_session"
"""Where a Django session keeps the id of its ``UserSession``."""


BACKGROUND: Final = "X-Background"
"""A page sends it with what it fetches by itself while nobody touches it: a screen left alone is not a person."""


def verified_session(request: HttpRequest, *, seen: bool = True) -> UserSession | None:
    """The live, second-factor-verified session of ``request``, looked up once; None for everybody else."""
    seen = seen and not (request.method == "GET" and BACKGROUND in request.headers)
    if not hasattr(request, "gekko_session"):
        request.gekko_session = _find_session(request, seen=seen)  # type: ignore[attr-defined]  # Django's place for such values
    found: UserSession | None = getattr(request, "gekko_session", None)
    return found


def _find_session(request: HttpRequest, *, seen: bool) -> UserSession | None:
    user: Any = getattr(request, "user", None)
    if user is None or not user.is_authenticated or not user.is_active:
        return None
    verified = getattr(user, "is_verified", None)
    if verified is None or not verified():
        return None
    key = request.session.get(SESSION_ID, "")
    row = live_session(bare_context(request), user=user, session_id=key, seen=seen)
    if row is None or row.session_key != request.session.session_key:
        return None
    return row


class VerifiedSession(SessionAuthentication):
    """The browser's session, with CSRF, only after the second factor."""

    def authenticate(self, request: Request) -> tuple[User, UserSession] | None:
        http = http_of(request)
        row = verified_session(http)
        if row is None:
            return None
        self.enforce_csrf(request)
        user: Any = http.user
        return user, row

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 - the base class names it
        return "Session"


class SignInCsrf(SessionAuthentication):
    """For the steps before there is a session: nobody is authenticated, but the CSRF token is checked."""

    def authenticate(self, request: Request) -> None:
        # Looked up now: DRF puts its own anonymous user into the Django request right after this.
        verified_session(http_of(request))
        self.enforce_csrf(request)


class ScopedToken(BaseAuthentication):
    """``Authorization: Token gekko_...``."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != b"token":
            return None
        if len(parts) != 2 or not parts[1].isascii():
            raise AuthenticationFailed("send the header as: Authorization: Token gekko_...")
        token = find_token(bare_context(http_of(request)), value=parts[1].decode())
        if token is None:
            raise AuthenticationFailed("this token is unknown, expired or revoked")
        http_of(request).gekko_token = token  # type: ignore[attr-defined]  # Django's place for such values
        return token.user, token

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 - the base class names it
        return "Token"


@context_filler
def fill_context(request: Request | HttpRequest, ctx: Context) -> Context:
    """Put the token's or the session's person into the context."""
    http = http_of(request)
    token: ApiToken | None = getattr(http, "gekko_token", None)
    if token is not None:
        actor = Actor(
            kind=ActorKind.TOKEN,
            id=str(token.user_id),
            name=f"{token.user.get_username()} ({token.name})",
            roles=token.user.role_names(),
            scopes=tuple(token.scopes),
            user=token.user,
        )
        return replace(ctx, actor=actor, session=f"token:{token.public_id}")
    row = verified_session(http)
    if row is None:
        return ctx
    return replace(ctx, actor=person(row.user), mfa=MfaLevel.OTP, session=str(row.pk))


def person(user: User) -> Actor:
    """The frozen copy of a user for contexts."""
    return Actor(kind=ActorKind.USER, id=str(user.pk), name=user.get_username(), roles=user.role_names(), user=user)
