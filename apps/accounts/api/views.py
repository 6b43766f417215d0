"""Signing in and out, step-up and one's own factors."""

from __future__ import annotations

from typing import Any

import segno
from django.middleware.csrf import get_token
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import ensure_csrf_cookie
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import selectors
from apps.accounts.api import login, serializers
from apps.accounts.api.authentication import SignInCsrf, verified_session
from apps.accounts.models import User
from apps.accounts.services import factors, people, sessions, sign_in, stepup
from apps.core.api.context import bare_context, context_of
from apps.core.api.views import Anyone, ApiView
from apps.core.errors import StepUpRequired


def valid(kind: type[Any], request: Request) -> dict[str, Any]:
    """The request's body as ``kind`` reads it; refused as a problem naming each field."""
    read = kind(data=request.data)
    read.is_valid(raise_exception=True)
    data: dict[str, Any] = read.validated_data
    return data


def state_answer(request: Request) -> Response:
    """Where this browser stands: anonymous, half signed in, or signed in as whom."""
    http = request._request  # noqa: SLF001 - the Django request holds the session
    row = verified_session(http)
    state, user, session = "anonymous", None, None
    if row is not None:
        state, user = "signed_in", selectors.profile(context_of(http))
        idle = int(sessions.idle_limit().total_seconds())
        session = {"id": str(row.pk), "expires_at": row.expires_at, "idle_s": idle}
    elif (half := login.pending(bare_context(http), http)) is not None:
        state = half[1]
    body = {"state": state, "csrf_token": get_token(http), "user": user, "session": session}
    return Response(serializers.StateOutput(body).data, headers={"Cache-Control": "no-store"})


class SignInView(ApiView):
    """Base of the steps before there is a session: CSRF is checked all the same."""

    permission_classes = (Anyone,)
    throttle_scope = "sign_in"

    def get_authenticators(self) -> list[BaseAuthentication]:
        return [SignInCsrf()]


@method_decorator(ensure_csrf_cookie, name="dispatch")
class State(ApiView):
    permission_classes = (Anyone,)

    @extend_schema(responses=serializers.StateOutput)
    def get(self, request: Request) -> Response:
        """Where this browser stands."""
        return state_answer(request)


class SignIn(SignInView):
    @extend_schema(request=serializers.SignInInput, responses=serializers.StateOutput)
    def post(self, request: Request) -> Response:
        """Step one: name and password."""
        user = sign_in.sign_in_password(bare_context(request._request), **valid(serializers.SignInInput, request))  # noqa: SLF001
        login.forget(request._request)  # noqa: SLF001
        login.start_pending(bare_context(request._request), request._request, user, login.SECOND_FACTOR)  # noqa: SLF001
        return state_answer(request)
