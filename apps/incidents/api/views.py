"""Incidents over HTTP. Acknowledging and resolving need ``If-Match`` with the version that the caller saw."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.api.idempotency import idempotent
from apps.core.api.versions import required_version, with_etag
from apps.core.api.views import ApiViewSet, valid
from apps.incidents import selectors, services
from apps.incidents.api import filters, serializers
from apps.incidents.models import Incident
from apps.incidents.rows import incident_row


class IncidentViewSet(ApiViewSet):
    """Incidents, newest first, with their timelines."""

    queryset = Incident.objects.none()
    serializer_class = serializers.IncidentSerializer
    filter_backends = (DjangoFilterBackend,)
    filterset_class = filters.IncidentFilter
    cursor_ordering = "-number"
    lookup_value_regex = r"[0-9a-f-]{36}"

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            return Incident.objects.none()
        selectors.may_view(self.ctx, "incident")
        return selectors.incidents()

    @extend_schema(request=serializers.Comment, responses=serializers.IncidentSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def acknowledge(self, request: Request, pk: str) -> Response:
        incident = services.acknowledge(
            self.ctx,
            incident_id=UUID(pk),
            expected_version=required_version(request),
            comment=valid(serializers.Comment, request)["comment"],
        )
        return with_etag(Response(incident_row(incident)))

    @extend_schema(request=serializers.Comment, responses=serializers.IncidentSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def resolve(self, request: Request, pk: str) -> Response:
        incident = services.resolve(
            self.ctx,
            incident_id=UUID(pk),
            expected_version=required_version(request),
            comment=valid(serializers.Comment, request)["comment"],
        )
        return with_etag(Response(incident_row(incident)))

    @extend_schema(request=serializers.Note, responses=serializers.IncidentSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def notes(self, request: Request, pk: str) -> Response:
        text = valid(serializers.Note, request)["text"]
        incident = services.add_note(self.ctx, incident_id=UUID(pk), text=text)
        return with_etag(Response(incident_row(incident)))
