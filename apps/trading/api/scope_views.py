"""Halts by scope over HTTP, and cancelling a part of the open orders."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from apps.core.api.idempotency import idempotent
from apps.core.api.versions import with_etag
from apps.core.api.views import ApiListView, ApiView, valid
from apps.trading import rows_scopes, selectors, selectors_scopes
from apps.trading.api import filters, scope_serializers, serializers
from apps.trading.api.views import Records, venue_of
from apps.trading.services import scopes as services


class ScopeView(Records, ApiListView):
    """Scopes that were ever halted: are they now, and why."""

    what = "scope"
    serializer_class = scope_serializers.ScopeSerializer
    cursor_ordering = ("scope",)

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(selectors_scopes.scopes())


class KnownScopesView(ApiView):
    """Every part that can be halted."""

    @extend_schema(responses=scope_serializers.KnownScopes)
    def get(self, request: Request) -> Response:  # noqa: ARG002 - the framework's signature
        selectors.may_view(self.ctx, "scope")
        return Response({"scopes": selectors_scopes.known_scopes()})


class ScopeHaltView(Records, ApiListView):
    """Halts of scopes, newest first; POST halts one on every venue."""

    what = "scope_halt"
    serializer_class = scope_serializers.ScopeHaltSerializer
    filterset_class = filters.ScopeHaltFilter
    cursor_ordering = ("-halted_at", "-id")

    def get_throttles(self) -> list[BaseThrottle]:
        """None for the halt itself: it must work while the cache that counts requests is down."""
        view: Any = super()
        throttles: list[BaseThrottle] = [] if self.request.method == "POST" else view.get_throttles()
        return throttles

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(selectors_scopes.scope_halts())

    @extend_schema(request=scope_serializers.ScopeOrder, responses=scope_serializers.ScopeSerializer)
    @idempotent
    def post(self, request: Request) -> Response:
        order = valid(scope_serializers.ScopeOrder, request)
        control = services.halt_scope(self.ctx, scope=order["scope"], reason=order["reason"], grant=order.get("grant"))
        return with_etag(Response(rows_scopes.scope_row(control)))


class ScopeResumeView(ApiView):
    """Let a halted scope trade again, or ask for it where policy wants another person."""

    @extend_schema(
        request=scope_serializers.ScopeOrder,
        responses={200: scope_serializers.ScopeResumeAnswer, 202: scope_serializers.ScopeResumeAnswer},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        order = valid(scope_serializers.ScopeOrder, request)
        control, halt = services.resume_scope(
            self.ctx, scope=order["scope"], reason=order["reason"], grant=order.get("grant")
        )
        answer = {
            "resumed": not control.halted,
            "scope": rows_scopes.scope_row(control),
            "halt": rows_scopes.scope_halt_row(halt),
        }
        return Response(answer, status=status.HTTP_202_ACCEPTED if control.halted else status.HTTP_200_OK)


class ApproveScopeResumeView(ApiView):
    """Approve another person's wish to resume a scope."""

    @extend_schema(request=serializers.Approval, responses=scope_serializers.ScopeSerializer)
    @idempotent
    def post(self, request: Request, halt_id: UUID) -> Response:
        order = valid(serializers.Approval, request)
        control = services.approve_scope_resume(self.ctx, halt_id=halt_id, grant=order.get("grant"))
        return with_etag(Response(rows_scopes.scope_row(control)))


class CancelView(ApiView):
    """Order a part of the open orders to be cancelled, by scope, instrument, strategy and side; trading goes on."""

    @extend_schema(request=scope_serializers.CancelRequest, responses={202: scope_serializers.CancelOrderSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        order = valid(scope_serializers.CancelRequest, request)
        selection = {name: order[name] for name in ("scope", "symbol", "strategy", "side", "client_id")}
        made = services.cancel_orders(self.ctx, venue=venue_of(order), selection=selection, reason=order["reason"])
        return Response(rows_scopes.cancel_row(made), status=status.HTTP_202_ACCEPTED)
