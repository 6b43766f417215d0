"""Closing positions over HTTP: look at what would be sent, then order it."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api.idempotency import idempotent
from apps.core.api.views import ApiView, valid
from apps.trading import selectors, selectors_flatten
from apps.trading.api.parents import ParentSerializer
from apps.trading.api.serializers import Base, GrantedOrder, VenueQuery, amount
from apps.trading.api.views import asked, venue_of
from apps.trading.choices import OrderSide
from apps.trading.rows_parents import parent_row
from apps.trading.services.flatten import flatten


class ClosingPosition(Base):
    """What was shown, word for word: the fresh code is for exactly these."""

    symbol = serializers.CharField(max_length=32)
    side = serializers.ChoiceField(choices=OrderSide.choices)
    quantity = serializers.RegexField(r"^\d{1,20}(\.\d{1,18})?$")


class ClosingRow(Base):
    """``problem`` says why nothing would be sent; value and fee are estimates at the mark."""

    symbol = serializers.CharField()
    side = serializers.CharField()
    quantity = amount()
    base = serializers.CharField()
    quote = serializers.CharField()
    remainder = amount()
    mark = amount(null=True)
    value = amount(null=True)
    fee = amount(null=True)
    orders = serializers.IntegerField()
    displaced = serializers.IntegerField(help_text="Open orders on the same lots, which are cancelled first.")
    problem = serializers.CharField()


class FlattenPreview(Base):
    """``digest`` after the venue's name and a colon is the object of the fresh code for trading.flatten."""

    venue = serializers.CharField()
    halted = serializers.BooleanField()
    open_orders = serializers.IntegerField()
    patience_s = serializers.IntegerField()
    digest = serializers.CharField()
    positions = ClosingRow(many=True)


class FlattenQuery(VenueQuery):
    symbol = serializers.CharField(required=False, max_length=32, help_text="One position; without it, all.")


class FlattenOrder(GrantedOrder):
    positions = ClosingPosition(many=True, allow_empty=False)


class FlattenAnswer(Base):
    parents = ParentSerializer(many=True)


class FlattenView(ApiView):
    """What closing positions would send; POST sends it, as reduce-only parent orders."""

    @extend_schema(parameters=[FlattenQuery], responses=FlattenPreview)
    def get(self, request: Request) -> Response:
        selectors.may_view(self.ctx, "position")
        query = asked(FlattenQuery, request)
        symbols = [query["symbol"]] if "symbol" in query else None
        return Response(selectors_flatten.preview(venue_of(query), symbols))

    @extend_schema(request=FlattenOrder, responses={202: FlattenAnswer})
    @idempotent
    def post(self, request: Request) -> Response:
        order = valid(FlattenOrder, request)
        wanted = [{name: str(each[name]) for name in ("symbol", "side", "quantity")} for each in order["positions"]]
        parents = flatten(
            self.ctx, venue=venue_of(order), wanted=wanted, reason=order["reason"], grant=order.get("grant")
        )
        return Response({"parents": [parent_row(parent) for parent in parents]}, status=status.HTTP_202_ACCEPTED)
