"""Read-only lists: incidents are written by services alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from apps.incidents import models

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
else:
    Base = admin.ModelAdmin


class ReadOnlyAdmin(Base):
    """A list and a page per row, and no way to change anything."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - as above
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - as above
        return False


@admin.register(models.Incident)
class IncidentAdmin(ReadOnlyAdmin):
    list_display = ["number", "severity", "title", "state", "count", "opened_at"]
    list_filter = ["state", "severity", "kind"]


@admin.register(models.TimelineEntry)
class TimelineEntryAdmin(ReadOnlyAdmin):
    list_display = ["incident", "at", "kind", "by", "text"]


admin.site.register(models.ProcessSighting, ReadOnlyAdmin)
