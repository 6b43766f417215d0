from __future__ import annotations

from django.urls import include, path

API = [
    path("", include(f"apps.{app}.api.urls"))
    for app in ("core", "audit", "accounts", "policies", "fleet", "trading", "deployments", "incidents", "streaming")
]

urlpatterns = [
    path("api/v1/", include(API)),
    path("", include("frontend.urls")),
]
