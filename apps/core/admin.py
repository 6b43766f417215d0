"""The outbox, for finding out what was told and when."""

from __future__ import annotations

from django.contrib import admin

from apps.core.admin_site import ReadOnlyAdmin
from apps.core.models import OutboxMessage


@admin.register(OutboxMessage)
class OutboxAdmin(ReadOnlyAdmin):
    view_capability = "audit.view"
    list_display = ("id", "topic", "kind", "key", "seq", "created_at", "published_at")
    list_filter = ("topic",)
    show_full_result_count = False
