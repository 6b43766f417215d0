from __future__ import annotations

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from apps.deployments.api import views

router = SimpleRouter()
router.register("deployments/releases", views.ReleaseViewSet, basename="deployments-release")
router.register("deployments/runs", views.RunViewSet, basename="deployments-run")

urlpatterns: list[URLPattern | URLResolver] = [*router.urls]
