"""Addresses of the dashboard."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from frontend import pages, views
from frontend.app import application
from frontend.guard import signed_in_data

_DASH, _SERVER = application()

urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", views.sign_in, name="login"),
    *(path(page.path.lstrip("/"), views.page, name=f"page-{page.key}") for page in pages.PAGES),
    *_SERVER.urlpatterns(_DASH, signed_in_data),
]
