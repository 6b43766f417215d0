"""Read-only lists: incidents are written by services alone."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.domain.roles import Capability
from apps.core.admin_site import ReadOnlyAdmin
from apps.incidents import models


class IncidentRecords(ReadOnlyAdmin):
    view_capability = Capability.INCIDENT_VIEW


@admin.register(models.Incident)
class IncidentAdmin(IncidentRecords):
    list_display = ["number", "severity", "title", "state", "count", "opened_at"]
    list_filter = ["state", "severity", "kind"]


@admin.register(models.TimelineEntry)
class TimelineEntryAdmin(IncidentRecords):
    list_display = ["incident", "at", "kind", "by", "text"]


admin.site.register(models.ProcessSighting, IncidentRecords)
