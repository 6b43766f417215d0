"""Answers the permission questions of the apps below: audit asks through core, as it may not know accounts."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from apps.accounts.api.authentication import verified_session
from apps.accounts.domain.roles import Capability
from apps.accounts.permissions import allowed, require
from apps.core.access import install_guard
from apps.core.context import Context


class AccountsGuard:
    def require(self, ctx: Context, capability: str, *, object_type: str, object_id: str) -> None:
        require(ctx, Capability(capability), object_type=object_type, object_id=object_id)

    def allowed(self, ctx: Context, capability: str) -> bool:
        return allowed(ctx, Capability(capability))

    def verified_staff(self, request: HttpRequest) -> bool:
        user: Any = getattr(request, "user", None)
        return verified_session(request) is not None and bool(user.is_staff)


install_guard(AccountsGuard())
