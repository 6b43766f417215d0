"""Signing in and out, step-up, and one's own factors."""

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
from apps.core.api.context import bare_context, context_of, http_of
from apps.core.api.views import Anyone, ApiView, valid
from apps.core.context import Context
from apps.core.errors import Invalid, NotAuthenticated

NO_STORE = {"Cache-Control": "no-store"}


def state_answer(request: Request) -> Response:
    """Where this browser stands: anonymous, half signed in, or signed in as whom."""
    http = http_of(request)
    row = verified_session(http)
    state, user, session = "anonymous", None, None
    if row is not None:
        state, user = "signed_in", selectors.profile(context_of(http))
        idle = int(sessions.idle_limit().total_seconds())
        session = {"id": str(row.pk), "expires_at": row.expires_at, "idle_s": idle}
    elif (half := login.pending(bare_context(http), http)) is not None:
        state = half[1]
    body = {"state": state, "csrf_token": get_token(http), "user": user, "session": session}
    return Response(serializers.StateOutput(body).data, headers=NO_STORE)


def own_user(ctx: Context) -> User:
    """The person in a signed-in session; tokens have no factors of their own."""
    if ctx.actor.user is None or ctx.mfa == "none":
        raise NotAuthenticated("only a person in a signed-in session has factors")
    return ctx.actor.user


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
        """Where this browser stands; sets the CSRF cookie."""
        return state_answer(request)


class SignIn(SignInView):
    @extend_schema(request=serializers.SignInInput, responses=serializers.StateOutput)
    def post(self, request: Request) -> Response:
        """Step one: name and password."""
        http = http_of(request)
        ctx = bare_context(http)
        user = sign_in.sign_in_password(ctx, **valid(serializers.SignInInput, request))
        login.start_pending(ctx, http, user, login.SECOND_FACTOR)
        return state_answer(request)


class SecondFactor(SignInView):
    @extend_schema(request=serializers.CodeInput, responses=serializers.StateOutput)
    def post(self, request: Request) -> Response:
        """Step two: the authenticator's code."""
        http = http_of(request)
        ctx = bare_context(http)
        user = login.required_pending(ctx, http, login.SECOND_FACTOR)
        device = sign_in.verify_second_factor(login.half(ctx, user), user=user, **valid(serializers.CodeInput, request))
        login.finish(login.half(ctx, user), http, user, device)
        return state_answer(request)


class Recovery(SignInView):
    @extend_schema(request=serializers.CodeInput, responses=serializers.StateOutput)
    def post(self, request: Request) -> Response:
        """Instead of step two: a recovery code, which lets in only to enrol a new authenticator."""
        http = http_of(request)
        ctx = bare_context(http)
        user = login.required_pending(ctx, http, login.SECOND_FACTOR)
        factors.use_recovery_code(login.half(ctx, user), user=user, **valid(serializers.CodeInput, request))
        login.start_pending(ctx, http, user, login.ENROL)
        return state_answer(request)


class Enrol(SignInView):
    @extend_schema(request=serializers.EnrolInput, responses=serializers.EnrolOutput)
    def post(self, request: Request) -> Response:
        """Begin a new authenticator: after a recovery code, or signed in with a code of the present one."""
        ctx, user, signed_in = enrolling(request)
        data = valid(serializers.EnrolInput, request)
        if signed_in:
            if not data.get("code"):
                raise Invalid("give a code of the present authenticator", field="code")
            factors.check_totp(ctx, user=user, code=data["code"])
        made = factors.begin_totp(ctx, user=user, name=data["name"])
        body = {"device_id": made.device_id, "uri": made.uri, "secret": made.secret, "qr_svg": qr_svg(made.uri)}
        return Response(serializers.EnrolOutput(body).data, headers=NO_STORE)


class ConfirmEnrol(SignInView):
    @extend_schema(request=serializers.ConfirmInput, responses=serializers.StateOutput)
    def post(self, request: Request) -> Response:
        """Confirm the new authenticator with its code; the old one and all sessions end, and this browser is in."""
        ctx, user, _ = enrolling(request)
        device = factors.confirm_totp(ctx, user=user, **valid(serializers.ConfirmInput, request))
        sessions.end_all_sessions(ctx, user=user, reason="authenticator changed")
        login.finish(ctx, http_of(request), user, device)
        return state_answer(request)


def enrolling(request: Request) -> tuple[Context, User, bool]:
    """(context, person, whether fully signed in) of somebody who may enrol; NotAuthenticated for anybody else."""
    http = http_of(request)
    if verified_session(http) is not None:
        ctx = context_of(http)
        return ctx, own_user(ctx), True
    ctx = bare_context(http)
    user = login.required_pending(ctx, http, login.ENROL)
    return login.half(ctx, user), user, False


def qr_svg(uri: str) -> str:
    """The URI as an SVG picture without script or style, drawn here so that the secret goes nowhere else."""
    code = segno.make(uri, error="m", micro=False)
    return str(code.svg_inline(scale=5, border=4, dark="#000", light="#fff", omitsize=False))


class SignOut(ApiView):
    @extend_schema(request=None, responses=serializers.StateOutput)
    def post(self, request: Request) -> Response:
        """End this session."""
        user = own_user(self.ctx)
        sessions.sign_out(self.ctx, user=user, session_id=self.ctx.session)
        login.forget(http_of(request))
        return state_answer(request)


class StepUp(ApiView):
    throttle_scope = "sign_in"

    @extend_schema(request=serializers.StepUpInput, responses={201: serializers.StepUpOutput})
    def post(self, request: Request) -> Response:
        """A fresh code for one action on one object; the grant works once, for two minutes."""
        made = stepup.grant(self.ctx, **valid(serializers.StepUpInput, request))
        body = {"grant": made.pk, "expires_at": made.expires_at}
        return Response(serializers.StepUpOutput(body).data, status=201, headers=NO_STORE)


class RecoveryCodes(ApiView):
    throttle_scope = "sign_in"

    @extend_schema(request=serializers.CodeInput, responses={201: serializers.RecoveryCodesOutput})
    def post(self, request: Request) -> Response:
        """Ten fresh recovery codes for a fresh code; the old set ends. They are shown once."""
        user = own_user(self.ctx)
        factors.check_totp(self.ctx, user=user, code=valid(serializers.CodeInput, request)["code"])
        codes = factors.regenerate_recovery_codes(self.ctx, user=user)
        return Response({"codes": codes}, status=201, headers=NO_STORE)


class Password(ApiView):
    throttle_scope = "sign_in"

    @extend_schema(request=serializers.PasswordInput, responses=serializers.StateOutput)
    def post(self, request: Request) -> Response:
        """Change one's password; all other sessions end."""
        user: Any = own_user(self.ctx)
        changed = people.change_password(self.ctx, user=user, **valid(serializers.PasswordInput, request))
        login.keep_after_password_change(http_of(request), changed)
        return state_answer(request)
