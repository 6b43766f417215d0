"""Searching, verifying and exporting the trail."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.audit import selectors
from apps.audit.api import serializers
from apps.audit.models import AuditEntry, AuditReport, Checkpoint, VerificationRun
from apps.audit.services import build_report, render_report, verify
from apps.audit.services.reports import FORMATS, attachment
from apps.core.api.idempotency import idempotent
from apps.core.api.views import ApiView, ApiViewSet, valid
from apps.core.errors import Invalid

_TEXT_FILTERS = [OpenApiParameter(name, OpenApiTypes.STR) for name in selectors.FILTERS]
_TIME_FILTERS = [OpenApiParameter(name, OpenApiTypes.DATETIME) for name in ("start", "end")]


def time_parameter(request: Request, name: str) -> datetime | None:
    """An aware time from the query string; Invalid for anything else, None when it is absent."""
    text = request.query_params.get(name, "").strip().replace(" ", "+")
    if not text:
        return None
    try:
        at = parse_datetime(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Invalid(f"expected a time with offset such as 2026-01-05T09:00:00Z for {name}, was {text!r}", field=name)
    return at


@extend_schema_view(list=extend_schema(parameters=[*_TEXT_FILTERS, *_TIME_FILTERS]))
class Entries(ApiViewSet):
    """The trail, newest first."""

    queryset = AuditEntry.objects.none()
    serializer_class = serializers.EntryOutput
    cursor_ordering = "-seq"
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[AuditEntry]:
        given = self.request.query_params
        return selectors.entries(
            self.ctx,
            {name: given[name] for name in selectors.FILTERS if name in given},
            start=time_parameter(self.request, "start"),
            end=time_parameter(self.request, "end"),
        )


class Checkpoints(ApiViewSet):
    """Signed roots, newest first."""

    queryset = Checkpoint.objects.none()
    serializer_class = serializers.CheckpointOutput
    cursor_ordering = "-size"

    def get_queryset(self) -> QuerySet[Checkpoint]:
        return selectors.checkpoints(self.ctx)


class Verifications(ApiViewSet):
    """Verifications of the whole trail, newest first."""

    queryset = VerificationRun.objects.none()
    serializer_class = serializers.RunOutput
    cursor_ordering = ("-started_at", "-id")

    def get_queryset(self) -> QuerySet[VerificationRun]:
        return selectors.verification_runs(self.ctx)

    @extend_schema(request=None, responses={201: serializers.RunOutput})
    @idempotent
    def create(self, _request: Request) -> Response:
        """Verify the whole trail now."""
        return Response(serializers.RunOutput(verify(self.ctx)).data, status=201)


class Reports(ApiViewSet):
    """Reports on a period."""

    queryset = AuditReport.objects.none()
    serializer_class = serializers.ReportOutput
    cursor_ordering = ("-created_at", "-id")
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[AuditReport]:
        return selectors.reports(self.ctx)

    @extend_schema(request=serializers.ReportInput, responses={201: serializers.ReportOutput})
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a report with a fresh checkpoint."""
        made = build_report(self.ctx, **valid(serializers.ReportInput, request)).report
        return Response(serializers.ReportOutput(made).data, status=201)


class Download(ApiView):
    throttle_scope = "export"

    @extend_schema(
        operation_id="audit_report_download",
        responses={(200, media.split(";")[0]): OpenApiTypes.BINARY for media in FORMATS.values()},
    )
    def get(self, _request: Request, report_id: UUID, form: str) -> HttpResponse:
        """One form of a report, the same bytes each time."""
        return attachment(*render_report(self.ctx, report_id=report_id, form=form), form=form)
