"""Read-only lists: deployments are written by services alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from apps.deployments import models

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


@admin.register(models.Release)
class ReleaseAdmin(ReadOnlyAdmin):
    list_display = ["number", "strategy", "digest", "limits_version", "created_by", "created_at"]


@admin.register(models.Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ["number", "release", "venue", "state", "detail", "requested_by", "created_at"]
    list_filter = ["state", "venue"]


@admin.register(models.Step)
class StepAdmin(ReadOnlyAdmin):
    list_display = ["run", "name", "state", "detail"]
