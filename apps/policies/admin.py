"""Read-only lists: policies are written by services alone."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.domain.roles import Capability
from apps.core.admin_site import ReadOnlyAdmin
from apps.policies import models


class PolicyRecords(ReadOnlyAdmin):
    view_capability = Capability.POLICY_VIEW


@admin.register(models.RiskLimits)
class RiskLimitsAdmin(PolicyRecords):
    list_display = ["number", "state", "digest", "created_by", "published_by", "published_at"]


@admin.register(models.LimitsPublication)
class LimitsPublicationAdmin(PolicyRecords):
    list_display = ["limits", "digest", "state", "people", "requested_by_name", "decided_by_name", "requested_at"]
    list_filter = ["state"]


@admin.register(models.PublicationConsent)
class PublicationConsentAdmin(PolicyRecords):
    list_display = ["publication", "name", "at"]


@admin.register(models.ApprovalRule)
class ApprovalRuleAdmin(PolicyRecords):
    list_display = ["action", "mode", "people"]


@admin.register(models.LimitOverride)
class LimitOverrideAdmin(PolicyRecords):
    list_display = ["code", "scope", "amount", "until", "state", "requested_by_name", "decided_by_name"]
    list_filter = ["state"]
