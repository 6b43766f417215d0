"""Read-only lists: trading records are written by services alone."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.domain.roles import Capability
from apps.core.admin_site import ReadOnlyAdmin
from apps.trading import models


class TradingRecords(ReadOnlyAdmin):
    view_capability = Capability.TRADING_VIEW


@admin.register(models.Venue)
class VenueAdmin(TradingRecords):
    list_display = ["name", "mode", "market", "label"]


@admin.register(models.Order)
class OrderAdmin(TradingRecords):
    list_display = ["client_id", "symbol", "side", "quantity", "price", "status", "created_at"]
    list_filter = ["status", "symbol", "venue"]


@admin.register(models.ParentOrder)
class ParentOrderAdmin(TradingRecords):
    list_display = ["parent_id", "symbol", "side", "quantity", "algorithm", "status", "requested_at"]
    list_filter = ["status", "algorithm", "venue"]


@admin.register(models.Fill)
class FillAdmin(TradingRecords):
    list_display = ["trade_id", "symbol", "side", "quantity", "price", "executed_at"]
    list_filter = ["symbol", "venue"]


@admin.register(models.Position)
class PositionAdmin(TradingRecords):
    list_display = ["venue", "symbol", "quantity", "cost", "realised", "mark"]


@admin.register(models.TradingControl)
class TradingControlAdmin(TradingRecords):
    list_display = ["venue", "desired_state", "observed_state", "version", "reason", "by"]


@admin.register(models.Halt)
class HaltAdmin(TradingRecords):
    list_display = ["venue", "halted_at", "halted_by", "reason", "resumed_at", "resumed_by"]


@admin.register(models.ResumeRequest)
class ResumeRequestAdmin(TradingRecords):
    list_display = ["venue", "state", "requested_by_name", "approved_by_name", "requested_at"]


@admin.register(models.ScopeControl)
class ScopeControlAdmin(TradingRecords):
    list_display = ["scope", "halted", "version", "reason", "by", "changed_at"]


@admin.register(models.ScopeHalt)
class ScopeHaltAdmin(TradingRecords):
    list_display = ["control", "halted_at", "halted_by", "reason", "resumed_at", "resumed_by", "approved_by_name"]


@admin.register(models.CancelOrder)
class CancelOrderAdmin(TradingRecords):
    list_display = ["venue", "selection", "reason", "by", "at"]


@admin.register(models.JournalCursor)
class JournalCursorAdmin(TradingRecords):
    list_display = ["worker", "seq", "hash", "anchored_seq", "projected_at"]


@admin.register(models.ReconciliationRun)
class ReconciliationRunAdmin(TradingRecords):
    list_display = ["venue", "at", "ok", "orders_checked", "fills_adopted"]


admin.site.register([models.Instrument, models.Balance, models.RunObservation, models.FeedObservation], TradingRecords)


@admin.register(models.RiskReport)
class RiskReportAdmin(TradingRecords):
    list_display = ["at", "venue", "status", "var", "var_limit", "pnl", "breach"]
    list_filter = ["venue", "status", "breach"]
