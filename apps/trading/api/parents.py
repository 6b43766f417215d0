"""Parent orders over HTTP: submit, list, look at, cancel."""

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
from apps.core.api.views import ApiListView, ApiView, valid
from apps.trading import selectors, selectors_parent_preview, selectors_parents
from apps.trading.api.serializers import Base, GrantedOrder, amount, at
from apps.trading.api.views import Records, venue_of
from apps.trading.choices import PARENT_STATUSES, OrderSide
from apps.trading.domain.parents import LIVE, LONGEST_S
from apps.trading.models import ParentOrder
from apps.trading.rows_parents import parent_row
from apps.trading.services.parents import cancel_parent, submit_parent


class ParentCosts(Base):
    """Against the price at the decision, in basis points of its value; above 0 is a cost, for sells too."""

    explicit = amount()
    delay = amount()
    impact = amount()
    missed = amount()
    total = amount()
    market = serializers.CharField(allow_null=True, help_text="Average against that of the whole market meanwhile.")
    markouts = serializers.DictField(
        child=serializers.FloatField(), help_text="By seconds after the fills; above 0 the market went our way."
    )


class ParentSerializer(Base):
    parent_id = serializers.CharField()
    venue = serializers.CharField()
    run_id = serializers.CharField()
    by = serializers.CharField()
    reason = serializers.CharField()
    symbol = serializers.CharField()
    side = serializers.CharField()
    quantity = amount()
    algorithm = serializers.CharField()
    params = serializers.DictField(help_text="The algorithm's own, quantities in lots, times in seconds.")
    starts_at = at()
    ends_at = at(null=True)
    limit_price = amount(null=True)
    reduce_only = serializers.BooleanField()
    route = serializers.BooleanField(help_text="What must be taken is routed over all venues of the pair.")
    status = serializers.ChoiceField(choices=PARENT_STATUSES)
    open = serializers.BooleanField()
    detail = serializers.CharField(help_text="Why it ended, is being cancelled or was refused.")
    cancel_requested = serializers.BooleanField()
    cancel_reason = serializers.CharField()
    cancel_by = serializers.CharField()
    filled_quantity = amount()
    filled = serializers.FloatField(allow_null=True, help_text="Share that is done, 0 to 1.")
    average_price = amount(null=True)
    arrival_price = amount(null=True)
    fees = amount()
    children = serializers.IntegerField()
    costs = ParentCosts(allow_null=True)
    requested_at = at()
    updated_at = at()
    ended_at = at(null=True)
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return parent_row(instance)


class ParentWish(Base):
    """A parent order to look at first. Quantities and prices are decimals as strings."""

    venue = serializers.SlugField(required=False, max_length=32)
    symbol = serializers.CharField(max_length=32)
    side = serializers.ChoiceField(choices=OrderSide.choices)
    quantity = serializers.CharField(max_length=40)
    algorithm = serializers.CharField(max_length=32, help_text="twap, vwap, pov, iceberg, buckets, adaptive or sweep.")
    params = serializers.DictField(
        required=False,
        help_text="See docs/parent-orders.md; interval_s is 0.001 or more, a curve has 10,080 weights at most.",
    )
    duration_s = serializers.FloatField(required=False, min_value=1, max_value=LONGEST_S)
    starts_in_s = serializers.FloatField(required=False, min_value=0, max_value=LONGEST_S)
    limit_price = serializers.CharField(required=False, allow_null=True, max_length=40)
    reduce_only = serializers.BooleanField(required=False)
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**53)
    route = serializers.BooleanField(
        required=False, help_text="Route what must be taken over all venues of the account that trade the same pair."
    )


class ParentRequestSerializer(ParentWish, GrantedOrder):
    """A parent order, with leave for exactly this one."""


class ParentPreviewSerializer(Base):
    """``digest`` after the venue's name and a colon is the object of the fresh code for trading.order."""

    venue = serializers.CharField()
    halted = serializers.BooleanField()
    halt = serializers.CharField(help_text="Which halt keeps it from leaving; empty when none does.")
    digest = serializers.CharField()
    symbol = serializers.CharField()
    side = serializers.CharField()
    quantity = amount()
    base = serializers.CharField()
    quote = serializers.CharField()
    algorithm = serializers.CharField()
    params = serializers.DictField(help_text="As the algorithm gets them: quantities in lots, times in seconds.")
    starts_in_s = serializers.FloatField()
    duration_s = serializers.FloatField(allow_null=True)
    limit_price = amount(null=True)
    reduce_only = serializers.BooleanField()
    seed = serializers.IntegerField()
    route = serializers.BooleanField()
    mark = amount(null=True)
    value = amount(null=True)
    fee = amount(null=True)


class ParentCancel(Base):
    reason = serializers.CharField(max_length=500)


class ParentFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    venue = filters.CharFilter()
    status = filters.MultipleChoiceFilter(choices=PARENT_STATUSES)
    open = filters.BooleanFilter(method="is_open", help_text="Only parents that are not over, or only the others.")

    class Meta:
        model = ParentOrder
        fields = ["symbol", "algorithm", "run_id"]

    def is_open(self, queryset: QuerySet[ParentOrder], name: str, value: bool) -> QuerySet[ParentOrder]:  # noqa: ARG002 - django-filter's signature
        return queryset.filter(status__in=LIVE) if value else queryset.exclude(status__in=LIVE)


class ParentListView(Records, ApiListView):
    """Parent orders, newest first; POST submits one."""

    what = "parent_order"
    serializer_class = ParentSerializer
    filterset_class = ParentFilter
    cursor_ordering = ("-requested_at", "-parent_id")

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(selectors_parents.parents())

    @extend_schema(request=ParentRequestSerializer, responses={202: ParentSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        order = valid(ParentRequestSerializer, request)
        parent = submit_parent(
            self.ctx, venue=venue_of(order), order=order, reason=order["reason"], grant=order.get("grant")
        )
        return with_etag(Response(parent_row(parent), status=status.HTTP_202_ACCEPTED))


class ParentPreviewView(ApiView):
    """What a parent order would ask for, and the digest that leave for it is given on. Changes nothing."""

    @extend_schema(request=ParentWish, responses=ParentPreviewSerializer)
    def post(self, request: Request) -> Response:
        selectors.may_view(self.ctx, "parent_order")
        order = valid(ParentWish, request)
        return Response(selectors_parent_preview.preview(venue_of(order), order))


class ParentView(ApiView):
    """One parent order."""

    @extend_schema(operation_id="parents_read", responses=ParentSerializer)
    def get(self, request: Request, parent_id: str) -> Response:  # noqa: ARG002 - the view's signature
        selectors.may_view(self.ctx, "parent_order")
        return with_etag(Response(parent_row(selectors_parents.get_parent(parent_id))))


class ParentCancelView(ApiView):
    """End a parent order: nothing more is sent for it, and its open children are cancelled."""

    @extend_schema(request=ParentCancel, responses={202: ParentSerializer})
    @idempotent
    def post(self, request: Request, parent_id: str) -> Response:
        order = valid(ParentCancel, request)
        parent = cancel_parent(self.ctx, parent_id=parent_id, reason=order["reason"])
        return with_etag(Response(parent_row(parent), status=status.HTTP_202_ACCEPTED))
