"""The schema itself, for signed-in callers like everything else."""

from __future__ import annotations

from typing import Any

from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import IsAuthenticated

from apps.core.api.views import ApiBase


class Schema(ApiBase, SpectacularAPIView):
    """OpenAPI 3 of this API, as YAML or with ``?format=json`` as JSON."""

    permission_classes = (IsAuthenticated,)
    renderer_classes: Any = (OpenApiYamlRenderer, OpenApiJsonRenderer)
    schema = None
