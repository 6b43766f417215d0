"""Reading the fleet. Its rows are written by workers alone."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend

from apps.core.api.views import ApiViewSet
from apps.fleet import selectors
from apps.fleet.api import serializers
from apps.fleet.models import Device, ModelVersion, Node


class FleetViewSet(ApiViewSet):
    filter_backends = (DjangoFilterBackend,)
    lookup_value_converter = "uuid"

    @property
    def describing(self) -> bool:
        """True while the OpenAPI description is made, which has no caller."""
        return bool(getattr(self, "swagger_fake_view", False))


class NodeViewSet(FleetViewSet):
    """Machines and whether their lease is good."""

    serializer_class = serializers.NodeSerializer
    filterset_fields = ("state", "region")

    def get_queryset(self) -> QuerySet[Node, Any]:
        return Node.objects.none() if self.describing else selectors.visible_nodes(self.ctx)


class DeviceViewSet(FleetViewSet):
    """Processors with their last probe and sample."""

    serializer_class = serializers.DeviceSerializer
    filterset_fields = ("node", "kind", "health")

    def get_queryset(self) -> QuerySet[Device, Any]:
        return Device.objects.none() if self.describing else selectors.visible_devices(self.ctx)


class ModelViewSet(FleetViewSet):
    """Trained models with their provenance, their measured skill, and where they are loaded."""

    serializer_class = serializers.ModelSerializer
    filterset_fields = ("name", "state", "kind")
    lookup_field = "digest"
    lookup_value_converter = "slug"

    def get_queryset(self) -> QuerySet[ModelVersion, Any]:
        return ModelVersion.objects.none() if self.describing else selectors.visible_models(self.ctx)
