from __future__ import annotations

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from apps.incidents.api import views

router = SimpleRouter()
router.register("incidents", views.IncidentViewSet, basename="incidents")

urlpatterns: list[URLPattern | URLResolver] = [*router.urls]
