"""Balances that differ from the venue's over HTTP: look at them, adopt the venue's, approve another person's wish."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api.idempotency import idempotent
from apps.core.api.versions import with_etag
from apps.core.api.views import ApiListView, ApiView, valid
from apps.trading import selectors, selectors_adoptions
from apps.trading.api import filters
from apps.trading.api.serializers import Base, GrantedOrder, VenueQuery, amount, at
from apps.trading.api.views import Records, asked, venue_of
from apps.trading.models.adoptions import AdoptionState
from apps.trading.services import adoptions

SIGNED = r"^-?\d{1,20}(\.\d{1,18})?$"


class BalanceBreakSerializer(Base):
    """``digest`` after the venue's name and a colon is the object of the fresh code for trading.adopt_balance."""

    asset = serializers.CharField()
    ours = amount()
    theirs = amount()
    difference = amount()
    digest = serializers.CharField()


class BalanceBreaksSerializer(Base):
    breaks = BalanceBreakSerializer(many=True)


class BalanceAdoptionSerializer(Base):
    id = serializers.UUIDField()
    venue = serializers.CharField()
    asset = serializers.CharField()
    ours = amount()
    theirs = amount()
    difference = amount()
    digest = serializers.CharField()
    state = serializers.ChoiceField(choices=AdoptionState.choices)
    reason = serializers.CharField()
    requested_by = serializers.CharField()
    requested_at = at()
    expires_at = at()
    approved_by = serializers.CharField()
    approved_at = at(null=True)
    done_at = at(null=True)
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return selectors_adoptions.adoption_row(instance)


class AdoptionOrder(GrantedOrder):
    """What was shown, word for word: the fresh code is for exactly this difference."""

    asset = serializers.CharField(max_length=48)
    ours = serializers.RegexField(SIGNED)
    theirs = serializers.RegexField(SIGNED)


class AdoptionApproval(Base):
    grant = serializers.UUIDField(required=False, allow_null=True)


class BalanceBreakView(ApiView):
    """Balances that differ from the venue's by the newest reconciliation."""

    @extend_schema(parameters=[VenueQuery], responses=BalanceBreaksSerializer)
    def get(self, request: Request) -> Response:
        selectors.may_view(self.ctx, "reconciliation")
        return Response({"breaks": selectors_adoptions.break_rows(venue_of(asked(VenueQuery, request)))})


class BalanceAdoptionView(Records, ApiListView):
    """Decisions to take the venue's balance for ours, newest first; POST makes one."""

    what = "balance_adoption"
    serializer_class = BalanceAdoptionSerializer
    filterset_class = filters.VenueFilter
    cursor_ordering = ("-requested_at", "-id")

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(selectors_adoptions.adoptions())

    @extend_schema(request=AdoptionOrder, responses={202: BalanceAdoptionSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        order = valid(AdoptionOrder, request)
        made = adoptions.adopt_balance(
            self.ctx,
            venue=venue_of(order),
            asset=order["asset"],
            ours=Decimal(order["ours"]),
            theirs=Decimal(order["theirs"]),
            reason=order["reason"],
            grant=order.get("grant"),
        )
        return with_etag(Response(selectors_adoptions.adoption_row(made), status=status.HTTP_202_ACCEPTED))


class ApproveAdoptionView(ApiView):
    """Approve another person's wish to take the venue's balance for ours."""

    @extend_schema(request=AdoptionApproval, responses=BalanceAdoptionSerializer)
    @idempotent
    def post(self, request: Request, adoption_id: UUID) -> Response:
        order = valid(AdoptionApproval, request)
        row = adoptions.approve_adoption(self.ctx, adoption_id=adoption_id, grant=order.get("grant"))
        return with_etag(Response(selectors_adoptions.adoption_row(row)))
