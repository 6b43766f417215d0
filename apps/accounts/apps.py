"""Start of the accounts app: requests learn who they come from."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "apps.accounts"
    label = "accounts"

    def ready(self) -> None:
        import_module("apps.accounts.api.authentication")
        import_module("apps.accounts.api.openapi")
        import_module("apps.accounts.guard")
