"""Read-only lists: trading records are written by services alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from apps.trading import models

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


@admin.register(models.Venue)
class VenueAdmin(ReadOnlyAdmin):
    list_display = ["name", "mode", "market", "label"]


@admin.register(models.Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = ["client_id", "symbol", "side", "quantity", "price", "status", "created_at"]
    list_filter = ["status", "symbol", "venue"]


@admin.register(models.Fill)
class FillAdmin(ReadOnlyAdmin):
    list_display = ["trade_id", "symbol", "side", "quantity", "price", "executed_at"]
    list_filter = ["symbol", "venue"]


@admin.register(models.Position)
class PositionAdmin(ReadOnlyAdmin):
    list_display = ["venue", "symbol", "quantity", "cost", "realised", "mark"]


@admin.register(models.TradingControl)
class TradingControlAdmin(ReadOnlyAdmin):
    list_display = ["venue", "desired_state", "observed_state", "version", "reason", "by"]


@admin.register(models.Halt)
class HaltAdmin(ReadOnlyAdmin):
    list_display = ["venue", "halted_at", "halted_by", "reason", "resumed_at", "resumed_by"]


@admin.register(models.ResumeRequest)
class ResumeRequestAdmin(ReadOnlyAdmin):
    list_display = ["venue", "state", "requested_by_name", "approved_by_name", "requested_at"]


@admin.register(models.JournalCursor)
class JournalCursorAdmin(ReadOnlyAdmin):
    list_display = ["worker", "seq", "hash", "anchored_seq", "projected_at"]


@admin.register(models.ReconciliationRun)
class ReconciliationRunAdmin(ReadOnlyAdmin):
    list_display = ["venue", "at", "ok", "orders_checked", "fills_adopted"]


admin.site.register([models.Instrument, models.Balance, models.RunObservation, models.FeedObservation], ReadOnlyAdmin)
