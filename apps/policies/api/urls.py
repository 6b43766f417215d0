from __future__ import annotations

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from apps.policies.api import views

router = SimpleRouter()
router.register("policies/limits", views.LimitsViewSet, basename="policies-limits")
router.register("policies/publications", views.PublicationViewSet, basename="policies-publication")
router.register("policies/overrides", views.OverrideViewSet, basename="policies-override")

urlpatterns: list[URLPattern | URLResolver] = [*router.urls]
