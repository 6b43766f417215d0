"""Rebalance runs over HTTP: asking for one, listing them, reading one."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api.idempotency import idempotent
from apps.core.api.versions import with_etag
from apps.core.api.views import ApiViewSet, valid
from apps.trading import selectors_rebalances as reads
from apps.trading.api.serializers import Base, amount, at
from apps.trading.api.views import Records, venue_of
from apps.trading.models import RebalanceRun, RebalanceState
from apps.trading.rows_rebalances import rebalance_row
from apps.trading.services.rebalances import request_rebalance
from workers.engine.portfolio.policy import METHODS


class RebalanceFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    venue = filters.CharFilter()
    state = filters.ChoiceFilter(choices=RebalanceState.choices)
    method = filters.ChoiceFilter(choices=[(name, name) for name in METHODS])

    class Meta:
        model = RebalanceRun
        fields: list[str] = []


class RebalanceSerializer(Base):
    """A run. ``outcome`` holds the optimiser's status, weights, targets, proposed trades, certificate and conflict."""

    id = serializers.UUIDField()
    venue = serializers.CharField()
    state = serializers.ChoiceField(choices=RebalanceState.choices)
    method = serializers.CharField()
    policy = serializers.DictField()
    policy_digest = serializers.CharField()
    inputs_digest = serializers.CharField()
    inputs = serializers.DictField()
    outcome = serializers.DictField()
    cost = amount(null=True)
    why = serializers.CharField()
    requested_by = serializers.CharField()
    requested_at = at()
    started_at = at(null=True)
    finished_at = at(null=True)
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return rebalance_row(instance)


class RebalanceOrder(Base):
    """What to compute. ``policy`` is described in docs/portfolio.md; what is left out has its default."""

    venue = serializers.SlugField(required=False, max_length=32)
    policy = serializers.DictField()
    reason = serializers.CharField(required=False, max_length=500, default="")


class RebalanceViewSet(Records, ApiViewSet):
    """Rebalance runs, newest first; POST asks for one. A run proposes trades and sends none."""

    what = "rebalance"
    queryset = RebalanceRun.objects.none()
    serializer_class = RebalanceSerializer
    filterset_class = RebalanceFilter
    cursor_ordering = ("-requested_at", "-id")
    lookup_value_regex = r"[0-9a-f-]{36}"

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(reads.rebalances())

    @extend_schema(request=RebalanceOrder, responses={202: RebalanceSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        order = valid(RebalanceOrder, request)
        run = request_rebalance(self.ctx, venue=venue_of(order), policy=order["policy"], reason=order["reason"])
        return with_etag(Response(rebalance_row(run), status=status.HTTP_202_ACCEPTED))
