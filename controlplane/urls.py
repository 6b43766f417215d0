"""Routes: health, the REST API, then the pages."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from controlplane import health

API_APPS = ("core", "audit", "accounts", "policies", "fleet", "trading", "deployments", "incidents", "streaming")

urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("admin/", admin.site.urls),
    path("api/v1/", include([path("", include(f"apps.{app}.api.urls")) for app in API_APPS])),
    path("", include("frontend.urls")),
]
