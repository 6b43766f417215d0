"""Routing decisions of a parent order over HTTP."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api.views import ApiListView, ApiView
from apps.trading import selectors, selectors_routes
from apps.trading.api.serializers import Base, amount, at
from apps.trading.api.views import Records
from apps.trading.models import ParentRoute
from workers.engine.execution.routing.router import RouteKind


class RouteVenue(Base):
    """A venue as the decision saw it; costs in basis points of notional."""

    symbol = serializers.CharField()
    venue = serializers.CharField()
    dark = serializers.BooleanField(help_text="Shows no book, and crosses at the middle of the others'.")
    best_price = amount(null=True)
    offered_quantity = amount(null=True)
    fee_bps = serializers.FloatField(help_text="Negative for a rebate.")
    latency_bps = serializers.FloatField(help_text="Expected move against us until an order arrives.")
    reject_bps = serializers.FloatField(help_text="Expected cost of a rejection.")
    fill_probability = serializers.FloatField(
        allow_null=True, help_text="Of a ping, from the venue's own record; null for venues with a book."
    )


class RouteLeftOut(Base):
    symbol = serializers.CharField()
    why = serializers.CharField()


class RouteLeg(Base):
    client_id = serializers.CharField()
    symbol = serializers.CharField()
    venue = serializers.CharField()
    quantity = amount()
    price = amount(null=True)
    status = serializers.CharField()
    detail = serializers.CharField()
    filled_quantity = amount()
    average_price = amount(null=True)
    fees = amount()


class RouteSerializer(Base):
    """One decision where a slice of a parent goes."""

    parent_id = serializers.CharField()
    number = serializers.IntegerField(help_text="Among the parent's decisions, from 1.")
    at = at()
    kind = serializers.ChoiceField(choices=[kind.value for kind in RouteKind])
    text = serializers.CharField(help_text="The decision in words.")
    reason = serializers.CharField()
    quantity = amount()
    unrouted_quantity = amount()
    expected_price = serializers.CharField(
        allow_null=True, help_text="Effective price that was expected, fees and risk included; null for a ping."
    )
    mid = amount(null=True)
    saving = serializers.CharField(
        allow_null=True,
        help_text="Quote saved by what was filled, against the home book alone at that moment; null where unknown.",
    )
    venues = RouteVenue(many=True)
    left_out = RouteLeftOut(many=True)
    legs = RouteLeg(many=True)


class RoutedVenue(Base):
    symbol = serializers.CharField()
    venue = serializers.CharField()
    quantity = amount()
    share = serializers.FloatField(help_text="Of all that was filled, 0 to 1.")
    average_price = amount(null=True)
    fees = amount()


class RoutingSerializer(Base):
    """What routing made of a parent."""

    parent_id = serializers.CharField()
    decisions = serializers.IntegerField()
    pings = serializers.IntegerField(help_text="Of dark venues, that were answered.")
    ping_hits = serializers.IntegerField()
    ping_hit_rate = serializers.FloatField(allow_null=True)
    saving = serializers.CharField(allow_null=True, help_text="Sum over the decisions for which it is known.")
    saving_bps = serializers.CharField(allow_null=True, help_text="Against the value that was filled.")
    venues = RoutedVenue(many=True)


class ParentRoutesView(Records, ApiListView):
    """Routing decisions of one parent order, newest first."""

    what = "parent_order"
    serializer_class = RouteSerializer
    filter_backends: Any = ()
    cursor_ordering = ("-number", "-id")

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            return ParentRoute.objects.none()
        selectors.may_view(self.ctx, self.what)
        return selectors_routes.routes(self.kwargs["parent_id"])

    def get(self, _request: HttpRequest, *_args: Any, **_kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(selectors_routes.route_rows(page or []))


class ParentRoutingView(ApiView):
    """What routing made of one parent order: by venue, pings of dark venues, and what it saved."""

    @extend_schema(operation_id="parents_routing", responses=RoutingSerializer)
    def get(self, request: Request, parent_id: str) -> Response:  # noqa: ARG002 - the view's signature
        selectors.may_view(self.ctx, "parent_order")
        return Response(selectors_routes.summary(parent_id))
