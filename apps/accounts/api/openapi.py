"""How callers prove who they are, for the OpenAPI schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "apps.accounts.api.authentication.VerifiedSession"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002 - the base class names it
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "A session that passed its second factor; changes also need X-CSRFToken.",
        }


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "apps.accounts.api.authentication.ScopedToken"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002 - the base class names it
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "Authorization: Token gekko_...",
        }


class SignInScheme(OpenApiAuthenticationExtension):
    target_class = "apps.accounts.api.authentication.SignInCsrf"
    name = "csrf"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002 - the base class names it
        return {"type": "apiKey", "in": "header", "name": "X-CSRFToken"}
