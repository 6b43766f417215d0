"""Django's admin behind the second factor: records to look at, nothing to edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url

from apps.core.access import allowed, verified_staff
from apps.core.api.context import context_of


class GekkoAdminSite(AdminSite):
    """Open to staff whose session passed the second factor; the door is Gekko's own sign-in page."""

    site_header = site_title = "Gekko records"
    index_title = "Records"
    site_url = "/"

    def has_permission(self, request: HttpRequest) -> bool:
        return verified_staff(request)

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # noqa: ARG002 - as the base
        return redirect_to_login(request.GET.get("next") or request.get_full_path(), resolve_url(settings.LOGIN_URL))


if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    Base = ModelAdmin[Model]
else:
    from django.contrib.admin import ModelAdmin as Base


class ReadOnlyAdmin(Base):
    """Rows to look at for those whose roles have ``view_capability``."""

    view_capability: ClassVar[str]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - as the base
        return verified_staff(request) and allowed(context_of(request), self.view_capability)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - as the base
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - as the base
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - as the base
        return False
