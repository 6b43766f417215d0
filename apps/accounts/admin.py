"""People, roles, sessions and tokens to look at; secrets are not among the fields."""

from __future__ import annotations

from django.contrib import admin

from apps.accounts.models import ApiToken, RoleAssignment, User, UserSession
from apps.core.admin_site import ReadOnlyAdmin


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    view_capability = "users.view"
    list_display = ("username", "is_active", "is_staff", "last_login", "date_joined")
    fields = ("id", "username", "is_active", "is_staff", "last_login", "date_joined", "version")
    search_fields = ("username",)


@admin.register(RoleAssignment)
class RoleAssignmentAdmin(ReadOnlyAdmin):
    view_capability = "users.view"
    list_display = ("user", "role", "assigned_at", "assigned_by")
    list_filter = ("role",)
    list_select_related = ("user",)


@admin.register(UserSession)
class UserSessionAdmin(ReadOnlyAdmin):
    view_capability = "users.view"
    list_display = ("user", "ip", "mfa", "created_at", "last_seen_at", "ended_at", "end_reason")
    fields = ("user", "mfa", "user_agent", "ip", "created_at", "last_seen_at", "expires_at", "ended_at", "end_reason")
    list_select_related = ("user",)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    view_capability = "users.view"
    list_display = ("name", "user", "scopes", "created_at", "expiry", "last_used_at", "revoked_at")
    fields = ("public_id", "name", "user", "scopes", "created_at", "expiry", "last_used_at", "revoked_at")
    list_select_related = ("user",)
