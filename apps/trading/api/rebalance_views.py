"""Rebalances over HTTP: asking for one, approving its trades, cancelling them, and standing policies."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api.idempotency import idempotent
from apps.core.api.versions import with_etag
from apps.core.api.views import ApiListView, ApiView, ApiViewSet, valid
from apps.trading import selectors, selectors_executions
from apps.trading import selectors_rebalances as reads
from apps.trading.api import rebalance_serializers as wire
from apps.trading.api.views import Records, venue_of
from apps.trading.models import RebalanceRun, RebalanceSchedule, RebalanceState
from apps.trading.rows_rebalances import rebalance_row, schedule_row
from apps.trading.services import executions
from apps.trading.services import rebalance_schedules as schedules
from apps.trading.services.rebalances import request_rebalance
from workers.engine.portfolio.policy import METHODS


class RebalanceFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    venue = filters.CharFilter()
    state = filters.ChoiceFilter(choices=RebalanceState.choices)
    method = filters.ChoiceFilter(choices=[(name, name) for name in METHODS])
    approved = filters.BooleanFilter(field_name="execution", lookup_expr="isnull", exclude=True)

    class Meta:
        model = RebalanceRun
        fields: list[str] = []


class RebalanceViewSet(Records, ApiViewSet):
    """Rebalance runs, newest first; POST asks for one. A run proposes trades; approving it lets them be made."""

    what = "rebalance"
    queryset = RebalanceRun.objects.none()
    serializer_class = wire.RebalanceSerializer
    filterset_class = RebalanceFilter
    cursor_ordering = ("-requested_at", "-id")
    lookup_value_regex = r"[0-9a-f-]{36}"

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(reads.rebalances())

    @extend_schema(request=wire.RebalanceOrder, responses={202: wire.RebalanceSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        order = valid(wire.RebalanceOrder, request)
        run = request_rebalance(self.ctx, venue=venue_of(order), policy=order["policy"], reason=order["reason"])
        return with_etag(Response(rebalance_row(run), status=status.HTTP_202_ACCEPTED))


class ProposalView(ApiView):
    """What approving a run would send, and the digest that leave for it is given on."""

    @extend_schema(responses=wire.ProposalSerializer)
    def get(self, _request: Request, run_id: UUID) -> Response:
        selectors.may_view(self.ctx, "rebalance")
        return Response(selectors_executions.preview(reads.get_run(run_id), self.ctx.now()))


class ApproveRebalanceView(ApiView):
    """Let the proposed trades be made, each as a parent order; sells first where their proceeds are needed."""

    @extend_schema(request=wire.RebalanceApproval, responses={202: wire.RebalanceSerializer})
    @idempotent
    def post(self, request: Request, run_id: UUID) -> Response:
        order = valid(wire.RebalanceApproval, request)
        executions.approve_rebalance(self.ctx, run_id=run_id, reason=order["reason"], grant=order.get("grant"))
        return with_etag(Response(rebalance_row(reads.get_run(run_id)), status=status.HTTP_202_ACCEPTED))


class CancelRebalanceView(ApiView):
    """Send nothing more of an approved run and end its parent orders; what was traded stays."""

    @extend_schema(request=wire.RebalanceReason, responses={202: wire.RebalanceSerializer})
    @idempotent
    def post(self, request: Request, run_id: UUID) -> Response:
        order = valid(wire.RebalanceReason, request)
        executions.cancel_execution(self.ctx, run_id=run_id, reason=order["reason"])
        return with_etag(Response(rebalance_row(reads.get_run(run_id)), status=status.HTTP_202_ACCEPTED))


class ScheduleFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    venue = filters.CharFilter()
    active = filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull")

    class Meta:
        model = RebalanceSchedule
        fields: list[str] = []


class ScheduleListView(Records, ApiListView):
    """Standing policies, newest first; POST sets one in place of the one that holds."""

    what = "rebalance_schedule"
    serializer_class = wire.ScheduleSerializer
    filterset_class = ScheduleFilter
    cursor_ordering = ("-set_at", "-id")

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(reads.schedules())

    @extend_schema(request=wire.ScheduleOrder, responses={201: wire.ScheduleSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        order = valid(wire.ScheduleOrder, request)
        made = schedules.set_schedule(
            self.ctx, venue=venue_of(order), policy=order["policy"], reason=order["reason"], grant=order.get("grant")
        )
        return with_etag(Response(schedule_row(made), status=status.HTTP_201_CREATED))


class SchedulePreviewView(ApiView):
    """A standing policy with every default written out, and the digest that leave for it is given on."""

    @extend_schema(request=wire.ScheduleWish, responses=wire.SchedulePreview)
    def post(self, request: Request) -> Response:
        selectors.may_view(self.ctx, "rebalance_schedule")
        order = valid(wire.ScheduleWish, request)
        frozen, digest, _ = schedules.frozen_policy(venue_of(order), order["policy"])
        return Response({"venue": venue_of(order), "policy": frozen, "digest": digest})


class ScheduleEndView(ApiView):
    """End a standing policy; what is being worked goes on."""

    @extend_schema(request=wire.RebalanceReason, responses=wire.ScheduleSerializer)
    @idempotent
    def post(self, request: Request, schedule_id: UUID) -> Response:
        order = valid(wire.RebalanceReason, request)
        ended = schedules.end_schedule(self.ctx, schedule_id=schedule_id, reason=order["reason"])
        return with_etag(Response(schedule_row(ended)))
