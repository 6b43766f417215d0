"""Deployments over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
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
from apps.deployments import rows, selectors, services
from apps.deployments.api import filters, serializers
from apps.deployments.models import Release, Run

UUID_PATTERN = r"[0-9a-f-]{36}"


class ReleaseViewSet(ApiViewSet):
    """Releases, newest first; posting the same content again answers with the same release."""

    queryset = Release.objects.none()
    serializer_class = serializers.ReleaseSerializer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = filters.ReleaseFilter
    cursor_ordering = "-number"
    lookup_value_regex = UUID_PATTERN

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            return Release.objects.none()
        selectors.may_view(self.ctx, "release")
        return selectors.releases()

    @extend_schema(request=serializers.ReleaseContent, responses={201: serializers.ReleaseSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        release = services.create_release(self.ctx, **valid(serializers.ReleaseContent, request))
        return Response(rows.release_row(release), status=status.HTTP_201_CREATED)


class RunViewSet(ApiViewSet):
    """Runs, newest first, with their steps and evidence."""

    queryset = Run.objects.none()
    serializer_class = serializers.RunSerializer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = filters.RunFilter
    cursor_ordering = "-number"
    lookup_value_regex = UUID_PATTERN

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            return Run.objects.none()
        selectors.may_view(self.ctx, "run")
        return selectors.runs()

    @extend_schema(request=serializers.StartOrder, responses={201: serializers.RunSerializer})
    @idempotent
    def create(self, request: Request) -> Response:
        order = valid(serializers.StartOrder, request)
        run = services.start_run(
            self.ctx,
            release_id=order["release"],
            venue=order.get("venue") or settings.GEKKO_VENUE_NAME,
            grant=order.get("grant"),
            reason=order["reason"],
        )
        return with_etag(Response(rows.run_row(run), status=status.HTTP_201_CREATED))

    @extend_schema(request=serializers.StopOrder, responses=serializers.RunSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def stop(self, request: Request, pk: str) -> Response:
        order = valid(serializers.StopOrder, request)
        run = services.stop_run(
            self.ctx, run_id=UUID(pk), reason=order["reason"], expected_version=required_version(request)
        )
        return with_etag(Response(rows.run_row(run)))
