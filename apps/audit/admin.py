"""The trail to look at, and reports for a period to make and download."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.audit.forms import ReportForm
from apps.audit.models import AuditEntry, AuditReport, Checkpoint, VerificationRun
from apps.audit.services.reports import FORMATS, attachment, build_report, render_report
from apps.core.admin_site import ReadOnlyAdmin
from apps.core.api.context import context_of
from apps.core.errors import DomainError


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    view_capability = "audit.view"
    list_display = ("seq", "at", "actor_name", "event", "object_type", "object_id", "outcome")
    list_filter = ("outcome", "actor_kind")
    search_fields = ("=actor_name", "=object_id", "event__startswith")
    ordering = ("-seq",)
    show_full_result_count = False


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    view_capability = "audit.view"
    list_display = ("size", "at", "key_id")
    ordering = ("-size",)


@admin.register(VerificationRun)
class VerificationRunAdmin(ReadOnlyAdmin):
    view_capability = "audit.view"
    list_display = ("started_at", "ok", "size", "checkpoints", "actor_name")


@admin.register(AuditReport)
class AuditReportAdmin(ReadOnlyAdmin):
    view_capability = "audit.export"
    change_list_template = "admin/audit/report_list.html"
    list_display = ("start", "end", "filters", "entries", "exceptions", "created_by", "created_at", "downloads")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("make/", wrap(self.make), name="audit_auditreport_make"),
            path("<uuid:report_id>/<str:form>/", wrap(self.download), name="audit_auditreport_download"),
            *super().get_urls(),
        ]

    @admin.display(description="Download")
    def downloads(self, report: AuditReport) -> SafeString:
        links = ((reverse("admin:audit_auditreport_download", args=[report.pk, form]), form) for form in FORMATS)
        return format_html("{}", format_html_join(" ", '<a href="{}">{}</a>', links))

    def make(self, request: HttpRequest) -> HttpResponse:
        """Ask for a period and filters, then make the report."""
        form = ReportForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                made = build_report(context_of(request), **form.query()).report
            except DomainError as error:
                form.add_error(None, error.detail)
            else:
                messages.success(request, f"Made: {made.entries} entries, {made.exceptions} refused or failed.")
                return HttpResponseRedirect(reverse("admin:audit_auditreport_changelist"))
        context: dict[str, Any] = {**self.admin_site.each_context(request), "title": "Make a report", "form": form}
        return TemplateResponse(request, "admin/audit/report_make.html", context)

    def download(self, request: HttpRequest, report_id: UUID, form: str) -> HttpResponse:
        """The report's bytes, made again and recorded."""
        try:
            return attachment(*render_report(context_of(request), report_id=report_id, form=form), form=form)
        except DomainError as error:
            messages.error(request, error.detail)
            return HttpResponseRedirect(reverse("admin:audit_auditreport_changelist"))
