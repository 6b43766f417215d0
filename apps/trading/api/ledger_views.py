"""The ledger over HTTP, and who made the profit; both are read only."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api.views import ApiListView, ApiView
from apps.trading import selectors, selectors_ledger
from apps.trading.api.serializers import Base, VenueQuery, amount, at
from apps.trading.api.views import Records, asked
from apps.trading.models import LedgerPosting
from apps.trading.models.ledger import LEDGER_ACCOUNTS, LEDGER_KINDS


class PostingFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    venue = filters.CharFilter()
    account = filters.ChoiceFilter(choices=LEDGER_ACCOUNTS)
    kind = filters.ChoiceFilter(choices=LEDGER_KINDS)
    entry = filters.NumberFilter(field_name="seq", help_text="Number of the journal record; name the venue too.")
    since = filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")

    class Meta:
        model = LedgerPosting
        fields = ["symbol", "asset", "client_id"]


class PostingSerializer(Base):
    """One line of an entry: the values of an entry sum to nought; debit is positive."""

    id = serializers.CharField()
    venue = serializers.CharField()
    entry = serializers.IntegerField(help_text="Number of the journal record.")
    at = at()
    kind = serializers.CharField()
    ref = serializers.CharField()
    client_id = serializers.CharField()
    account = serializers.CharField()
    asset = serializers.CharField()
    symbol = serializers.CharField()
    value = amount()
    quantity = amount()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return selectors_ledger.posting_row(instance)


class ProfitShareSerializer(Base):
    """``total`` is realised + unrealised - fees + funding."""

    key = serializers.CharField()
    realised = amount()
    unrealised = amount()
    fees = amount()
    funding = amount()
    total = amount()


class ProfitAttributionSerializer(Base):
    """Rows sum to ``total`` exactly; the row ``netting`` moves between realised and unrealised and makes no profit."""

    by = serializers.CharField()
    venue = serializers.CharField(allow_null=True)
    quote = serializers.CharField()
    method = serializers.CharField()
    marked_at = at(null=True)
    rows = ProfitShareSerializer(many=True)
    total = ProfitShareSerializer()


class ProfitAttributionQuery(VenueQuery):
    by = serializers.ChoiceField(choices=("strategy", "instrument", "venue", "desk"), default="strategy")


class LedgerView(Records, ApiListView):
    """Postings of the double-entry ledger, newest first."""

    what = "ledger"
    serializer_class = PostingSerializer
    filterset_class = PostingFilter
    cursor_ordering = ("-at", "-id")

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(selectors_ledger.postings())


class ProfitAttributionView(ApiView):
    """Who made the profit since the books began, from the ledger: the rows sum to the whole exactly."""

    @extend_schema(parameters=[ProfitAttributionQuery], responses=ProfitAttributionSerializer)
    def get(self, request: Request) -> Response:
        selectors.may_view(self.ctx, "pnl")
        query = asked(ProfitAttributionQuery, request)
        return Response(selectors_ledger.attribution(query["by"], query.get("venue")))
