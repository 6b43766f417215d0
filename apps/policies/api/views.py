"""Risk limits over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api.idempotency import idempotent
from apps.core.api.versions import required_version, with_etag
from apps.core.api.views import ApiViewSet, valid
from apps.policies import selectors, services, services_overrides, services_publications
from apps.policies.api import filters, serializers
from apps.policies.choices import LimitsState
from apps.policies.domain.limits import described
from apps.policies.models import LimitOverride, LimitsPublication, RiskLimits
from apps.policies.rows import limits_row, override_row


class LimitsViewSet(ApiViewSet):
    """Versions of the risk limits, newest first. A draft may be replaced; publishing makes it hold."""

    queryset = RiskLimits.objects.none()
    serializer_class = serializers.LimitsSerializer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = filters.LimitsFilter
    cursor_ordering = "-number"
    lookup_field = "number"
    lookup_value_regex = r"\d{1,9}"

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            return RiskLimits.objects.none()
        selectors.may_view(self.ctx, "risk_limits")
        return selectors.limits_versions()

    @extend_schema(request=serializers.LimitsContent, responses={201: serializers.LimitsSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        content = valid(serializers.LimitsContent, request)
        row = services.create_draft(self.ctx, limits=content["limits"], note=content["note"])
        return with_etag(Response(limits_row(row), status=status.HTTP_201_CREATED))

    @extend_schema(request=serializers.LimitsContent, responses=serializers.LimitsSerializer)
    def update(self, request: Request, number: str) -> Response:
        content = valid(serializers.LimitsContent, request)
        row = services.update_draft(
            self.ctx,
            number=int(number),
            expected_version=required_version(request),
            limits=content["limits"],
            note=content["note"],
        )
        return with_etag(Response(limits_row(row)))

    @extend_schema(
        request=serializers.Publication,
        responses={200: serializers.LimitsSerializer, 202: serializers.LimitsSerializer},
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def publish(self, request: Request, number: str) -> Response:
        """200 when it holds; 202 when other people must consent first, as ``publication`` says."""
        order = valid(serializers.Publication, request)
        row = services_publications.publish(self.ctx, number=int(number), grant=order.get("grant"))
        return _told(row)

    @extend_schema(request=serializers.Discarding, responses=serializers.LimitsSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def discard(self, request: Request, number: str) -> Response:
        """Throw a draft away; it stays on record."""
        row = services.discard_draft(
            self.ctx,
            number=int(number),
            expected_version=required_version(request),
            reason=valid(serializers.Discarding, request)["reason"],
        )
        return with_etag(Response(limits_row(row)))

    @extend_schema(responses=serializers.PublishingRule)
    @action(detail=False, methods=["get"], pagination_class=None, filter_backends=[])
    def publishing(self, request: Request) -> Response:  # noqa: ARG002 - the router's signature
        """How many people publishing takes now, the one who asks included, and in which mode the desk is."""
        selectors.may_view(self.ctx, "risk_limits")
        return Response(selectors.publishing_rule())

    @extend_schema(responses=serializers.LimitField(many=True))
    @action(detail=False, methods=["get"], pagination_class=None, filter_backends=[])
    def fields(self, request: Request) -> Response:  # noqa: ARG002 - the router's signature
        """Every limit there is: name, whether it may be left out, and what it bounds."""
        selectors.may_view(self.ctx, "risk_limits")
        return Response(described())


def _told(row: RiskLimits) -> Response:
    held = row.state == LimitsState.ACTIVE
    return with_etag(Response(limits_row(row), status=status.HTTP_200_OK if held else status.HTTP_202_ACCEPTED))


class PublicationViewSet(ApiViewSet):
    """Wishes to publish limits that need more than one person, newest first. Answers are the version's row."""

    queryset = LimitsPublication.objects.none()
    serializer_class = serializers.LimitsPublicationSerializer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = filters.PublicationFilter
    cursor_ordering = ("-requested_at", "-id")
    lookup_value_regex = r"[0-9a-f-]{36}"

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            return LimitsPublication.objects.none()
        selectors.may_view(self.ctx, "risk_limits")
        return selectors.publications()

    @extend_schema(
        request=serializers.Publication,
        responses={200: serializers.LimitsSerializer, 202: serializers.LimitsSerializer},
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def approve(self, request: Request, pk: str) -> Response:
        """200 when it holds now; 202 when still more people must consent."""
        order = valid(serializers.Publication, request)
        return _told(services_publications.consent(self.ctx, publication_id=UUID(pk), grant=order.get("grant")))

    @extend_schema(request=None, responses=serializers.LimitsSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def reject(self, request: Request, pk: str) -> Response:  # noqa: ARG002 - the router's signature
        row = services_publications.reject_publication(self.ctx, publication_id=UUID(pk))
        return with_etag(Response(limits_row(row)))


class OverrideViewSet(ApiViewSet):
    """Leave to exceed a limit, newest first: asked for by one person, approved by another, ended by its time."""

    queryset = LimitOverride.objects.none()
    serializer_class = serializers.OverrideSerializer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = filters.OverrideFilter
    cursor_ordering = ("-requested_at", "-id")
    lookup_value_regex = r"[0-9a-f-]{36}"

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            return LimitOverride.objects.none()
        selectors.may_view(self.ctx, "override")
        return selectors.overrides()

    @extend_schema(request=serializers.OverrideWish, responses={201: serializers.OverrideSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        row = services_overrides.request_override(self.ctx, **valid(serializers.OverrideWish, request))
        return with_etag(Response(override_row(row), status=status.HTTP_201_CREATED))

    @extend_schema(request=serializers.OverrideApproval, responses=serializers.OverrideSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def approve(self, request: Request, pk: str) -> Response:
        order = valid(serializers.OverrideApproval, request)
        row = services_overrides.approve_override(self.ctx, override_id=UUID(pk), grant=order.get("grant"))
        return with_etag(Response(override_row(row)))

    @extend_schema(request=None, responses=serializers.OverrideSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def reject(self, request: Request, pk: str) -> Response:  # noqa: ARG002 - the router's signature
        return with_etag(Response(override_row(services_overrides.reject_override(self.ctx, override_id=UUID(pk)))))

    @extend_schema(request=None, responses=serializers.OverrideSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def revoke(self, request: Request, pk: str) -> Response:  # noqa: ARG002 - the router's signature
        return with_etag(Response(override_row(services_overrides.revoke_override(self.ctx, override_id=UUID(pk)))))
