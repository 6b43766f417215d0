"""Trading over HTTP: reads, and the three orders that people give: halt, resume, cancel everything."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from apps.core.api.idempotency import idempotent
from apps.core.api.versions import with_etag
from apps.core.api.views import ApiListView, ApiView, ApiViewSet, valid
from apps.trading import rows, selectors, services
from apps.trading.api import filters, serializers
from apps.trading.models import ResumeRequest


def venue_of(values: dict[str, Any]) -> str:
    """The venue that was named, else the desk's own."""
    return str(values.get("venue") or settings.GEKKO_VENUE_NAME)


class Records:
    """What reading views share: filters in the address, and the permission to read."""

    filter_backends: Any = (DjangoFilterBackend,)
    what = "trading"

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """``queryset`` for a caller who may read it; while the OpenAPI description is made, nobody asks."""
        view: Any = self
        if getattr(view, "swagger_fake_view", False):
            return queryset.none()
        selectors.may_view(view.ctx, self.what)
        return queryset


class OrderViewSet(Records, ApiViewSet):
    """Orders, newest first, with timeline, reasons in words and latency stages."""

    what = "order"
    serializer_class = serializers.OrderSerializer
    filterset_class = filters.OrderFilter
    cursor_ordering = ("-created_at", "-id")
    lookup_field = "client_id"
    lookup_value_regex = r"[^/]+"

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(selectors.orders())


class OrderTraceView(ApiView):
    """How one order came to be and what became of it: signal, verdict, fills, fees, times."""

    @extend_schema(responses=serializers.OrderTraceSerializer)
    def get(self, request: Request, client_id: str) -> Response:  # noqa: ARG002 - DRF's signature
        selectors.may_view(self.ctx, "order")
        return Response(selectors.order_trace(client_id))


class FillView(Records, ApiListView):
    """Executions, newest first."""

    what = "fill"
    serializer_class = serializers.FillSerializer
    filterset_class = filters.FillFilter
    cursor_ordering = ("-executed_at", "-id")

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(selectors.fills())


class PositionView(Records, ApiListView):
    """Positions by symbol, flat ones included."""

    what = "position"
    serializer_class = serializers.PositionSerializer
    filterset_class = filters.PositionFilter
    cursor_ordering = ("symbol", "id")

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(selectors.positions())


class InstrumentView(Records, ApiListView):
    """Instruments with the venue's filters."""

    what = "instrument"
    serializer_class = serializers.InstrumentSerializer
    filterset_class = filters.VenueFilter
    cursor_ordering = ("symbol", "id")

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(selectors.instruments())


class ReconciliationView(Records, ApiListView):
    """Comparisons of our books with the venue's, newest first."""

    what = "reconciliation"
    serializer_class = serializers.ReconciliationSerializer
    filterset_class = filters.VenueFilter
    cursor_ordering = ("-at", "-id")

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(selectors.reconciliations())


class AccountView(ApiView):
    """The account at a glance."""

    @extend_schema(parameters=[serializers.VenueQuery], responses=serializers.AccountSerializer)
    def get(self, request: Request) -> Response:
        selectors.may_view(self.ctx, "account")
        return Response(selectors.account(venue_of(asked(serializers.VenueQuery, request))))


class PnlView(ApiView):
    """The equity series, thinned by the server."""

    @extend_schema(parameters=[serializers.PnlQuery], responses=serializers.PnlSerializer)
    def get(self, request: Request) -> Response:
        selectors.may_view(self.ctx, "pnl")
        query = asked(serializers.PnlQuery, request)
        series = selectors.pnl_series(
            venue_of(query),
            start=query.get("start"),
            end=query.get("end") or self.ctx.now(),
            points=query.get("points", selectors.MAX_POINTS),
        )
        return Response(series)


class ControlView(ApiView):
    """What is wanted of the trading loop, and what it does."""

    @extend_schema(parameters=[serializers.VenueQuery], responses=serializers.ControlSerializer)
    def get(self, request: Request) -> Response:
        selectors.may_view(self.ctx, "control")
        control = selectors.get_control(venue_of(asked(serializers.VenueQuery, request)))
        return with_etag(Response(rows.control_row(control)))


class HaltView(Records, ApiListView):
    """Halts, newest first; POST halts."""

    what = "halt"
    serializer_class = serializers.HaltSerializer
    filterset_class = filters.HaltFilter
    cursor_ordering = ("-halted_at", "-id")

    def get_throttles(self) -> list[BaseThrottle]:
        """None for the halt itself: it must work while the cache that counts requests is down."""
        view: Any = super()
        throttles: list[BaseThrottle] = [] if self.request.method == "POST" else view.get_throttles()
        return throttles

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(selectors.halts())

    @extend_schema(request=serializers.GrantedOrder, responses=serializers.ControlSerializer)
    @idempotent
    def post(self, request: Request) -> Response:
        order = valid(serializers.GrantedOrder, request)
        control = services.halt(self.ctx, venue=venue_of(order), reason=order["reason"], grant=order.get("grant"))
        return with_etag(Response(rows.control_row(control)))


class ResumeView(ApiView):
    """Let a halted venue trade again, or ask for it where policy wants another person."""

    @extend_schema(
        request=serializers.GrantedOrder,
        responses={200: serializers.ResumeAnswer, 202: serializers.ResumeAnswer},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        order = valid(serializers.GrantedOrder, request)
        venue = venue_of(order)
        outcome = services.resume(self.ctx, venue=venue, reason=order["reason"], grant=order.get("grant"))
        waits = isinstance(outcome, ResumeRequest)
        answer = {
            "resumed": not waits,
            "control": rows.control_row(selectors.get_control(venue)),
            "request": rows.resume_row(outcome) if isinstance(outcome, ResumeRequest) else None,
        }
        return Response(answer, status=status.HTTP_202_ACCEPTED if waits else status.HTTP_200_OK)


class ResumeRequestView(Records, ApiListView):
    """Wishes to resume, newest first."""

    what = "resume_request"
    serializer_class = serializers.ResumeRequestSerializer
    filterset_class = filters.VenueFilter
    cursor_ordering = ("-requested_at", "-id")

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(selectors.resume_requests())


class ApproveResumeView(ApiView):
    """Approve another person's wish to resume."""

    @extend_schema(request=serializers.Approval, responses=serializers.ControlSerializer)
    @idempotent
    def post(self, request: Request, request_id: UUID) -> Response:
        order = valid(serializers.Approval, request)
        control = services.approve_resume(self.ctx, request_id=request_id, grant=order.get("grant"))
        return with_etag(Response(rows.control_row(control)))


class CancelAllView(ApiView):
    """Order every open order to be cancelled; trading goes on."""

    @extend_schema(request=serializers.VenueOrder, responses={202: serializers.ControlSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        order = valid(serializers.VenueOrder, request)
        control = services.cancel_all(self.ctx, venue=venue_of(order), reason=order["reason"])
        return Response(rows.control_row(control), status=status.HTTP_202_ACCEPTED)


def asked(kind: type[Any], request: Request) -> dict[str, Any]:
    """The query parameters as the serializer ``kind`` reads them."""
    read = kind(data=request.query_params)
    read.is_valid(raise_exception=True)
    values: dict[str, Any] = read.validated_data
    return values
