"""One's own sessions and tokens; people and their roles for administrators."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import selectors
from apps.accounts.api import serializers
from apps.accounts.models import ApiToken, User, UserSession
from apps.accounts.services import people, sessions, tokens
from apps.core.api.idempotency import idempotent
from apps.core.api.views import ApiViewSet, valid


class Sessions(ApiViewSet):
    """One's own sessions; ending one closes its sockets within seconds."""

    queryset = UserSession.objects.none()
    serializer_class = serializers.SessionOutput
    cursor_ordering = ("-created_at", "-id")
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[UserSession]:
        return selectors.own_sessions(self.ctx)

    def get_serializer_context(self) -> dict[str, Any]:
        return {"current": self.ctx.session}

    @extend_schema(responses={204: None})
    def destroy(self, _request: Request, pk: UUID) -> Response:
        """End a session."""
        sessions.revoke_session(self.ctx, session_id=pk)
        return Response(status=204)


class Tokens(ApiViewSet):
    """One's own API tokens. The value is in the answer that issues it and nowhere else."""

    queryset = ApiToken.objects.none()
    serializer_class = serializers.TokenOutput
    cursor_ordering = ("-created_at", "-public_id")
    lookup_field = "public_id"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[ApiToken]:
        return selectors.own_tokens(self.ctx)

    @extend_schema(request=serializers.TokenInput, responses={201: serializers.IssuedTokenOutput})
    @idempotent
    def create(self, request: Request) -> Response:
        """Issue a token."""
        data = valid(serializers.TokenInput, request)
        lifetime = timedelta(days=data["lifetime_days"])
        token, value = tokens.issue_token(self.ctx, name=data["name"], scopes=data["scopes"], lifetime=lifetime)
        body = {**serializers.TokenOutput(token).data, "token": value}
        return Response(body, status=201, headers={"Cache-Control": "no-store"})

    @extend_schema(responses={204: None})
    def destroy(self, _request: Request, public_id: UUID) -> Response:
        """Revoke a token."""
        tokens.revoke_token(self.ctx, token_id=public_id)
        return Response(status=204)


class Users(ApiViewSet):
    """People and their roles."""

    queryset = User.objects.none()
    serializer_class = serializers.UserOutput
    cursor_ordering = ("username", "id")
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[User]:
        return selectors.users(self.ctx)

    @extend_schema(request=serializers.UserInput, responses={201: serializers.NewUserOutput})
    @idempotent
    def create(self, request: Request) -> Response:
        """Give a person an account; password, authenticator and recovery codes are in this answer and nowhere else."""
        data = valid(serializers.UserInput, request)
        made = people.create_operator(self.ctx, username=data["username"], roles=data["roles"], is_staff=False)
        body = {
            "id": made.user.pk,
            "username": made.user.username,
            "password": made.password,
            "otpauth_uri": made.otpauth_uri,
            "recovery_codes": made.recovery_codes,
        }
        return Response(serializers.NewUserOutput(body).data, status=201, headers={"Cache-Control": "no-store"})

    @extend_schema(request=serializers.RoleInput, responses=serializers.UserOutput)
    @action(detail=True, methods=["post"], url_path="assign-role")
    @idempotent
    def assign_role(self, request: Request, pk: UUID) -> Response:
        """Give a role."""
        people.assign_role(self.ctx, user_id=pk, **valid(serializers.RoleInput, request))
        return Response(serializers.UserOutput(User.objects.get(pk=pk)).data)

    @extend_schema(request=serializers.RoleInput, responses=serializers.UserOutput)
    @action(detail=True, methods=["post"], url_path="remove-role")
    @idempotent
    def remove_role(self, request: Request, pk: UUID) -> Response:
        """Take a role."""
        people.remove_role(self.ctx, user_id=pk, **valid(serializers.RoleInput, request))
        return Response(serializers.UserOutput(User.objects.get(pk=pk)).data)

    @extend_schema(request=None, responses=serializers.UserOutput)
    @action(detail=True, methods=["post"])
    @idempotent
    def disable(self, _request: Request, pk: UUID) -> Response:
        """Close an account and end its sessions."""
        return Response(serializers.UserOutput(people.disable_user(self.ctx, user_id=pk)).data)
