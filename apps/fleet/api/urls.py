from __future__ import annotations

from django.urls import URLPattern, URLResolver
from rest_framework.routers import SimpleRouter

from apps.fleet.api import views

router = SimpleRouter(use_regex_path=False)
router.register("fleet/nodes", views.NodeViewSet, basename="fleet-node")
router.register("fleet/devices", views.DeviceViewSet, basename="fleet-device")
router.register("fleet/models", views.ModelViewSet, basename="fleet-model")

urlpatterns: list[URLPattern | URLResolver] = [*router.urls]
