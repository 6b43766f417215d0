"""How lists are narrowed by the address: every filter is a query parameter."""

from __future__ import annotations

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from apps.trading.choices import ORDER_STATUSES, STILL_OPEN, OrderSide
from apps.trading.models import Fill, Halt, Order, Position, ScopeHalt

_OPEN = sorted(STILL_OPEN)


class OrderFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    venue = filters.CharFilter()
    status = filters.MultipleChoiceFilter(choices=ORDER_STATUSES)
    side = filters.ChoiceFilter(choices=OrderSide.choices)
    open = filters.BooleanFilter(method="is_open", help_text="Only orders that may still fill, or only the others.")
    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Order
        fields = ["symbol", "run_id", "origin", "group", "parent_id"]

    def is_open(self, queryset: QuerySet[Order], name: str, value: bool) -> QuerySet[Order]:  # noqa: ARG002 - django-filter's signature
        return queryset.filter(status__in=_OPEN) if value else queryset.exclude(status__in=_OPEN)


class FillFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    venue = filters.CharFilter()
    side = filters.ChoiceFilter(choices=OrderSide.choices)
    since = filters.IsoDateTimeFilter(field_name="executed_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="executed_at", lookup_expr="lt")

    class Meta:
        model = Fill
        fields = ["symbol", "run_id", "client_id"]


class PositionFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    venue = filters.CharFilter()

    class Meta:
        model = Position
        fields = ["symbol"]


class HaltFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    venue = filters.CharFilter()
    open = filters.BooleanFilter(field_name="resumed_at", lookup_expr="isnull")

    class Meta:
        model = Halt
        fields = ["automatic"]


class VenueFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    venue = filters.CharFilter()


class ScopeHaltFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    scope = filters.CharFilter(field_name="control_id")
    open = filters.BooleanFilter(field_name="resumed_at", lookup_expr="isnull")

    class Meta:
        model = ScopeHalt
        fields = ["automatic"]
