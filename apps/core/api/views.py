"""Base classes of every API view: JSON in and out, signed in with a second factor, problems for refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string
from rest_framework.authentication import BaseAuthentication
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from apps.core.api import problems
from apps.core.api.context import context_of
from apps.core.api.pagination import Cursor
from apps.core.api.parsers import JsonBody
from apps.core.api.schema import GekkoSchema
from apps.core.api.throttles import AddressThrottle, CallerThrottle
from apps.core.api.versions import with_etag
from apps.core.context import Context

AUTHENTICATION: tuple[str, ...] = (
    "apps.accounts.api.authentication.VerifiedSession",
    "apps.accounts.api.authentication.ScopedToken",
)
"""Named, not imported: accounts stands on core. ``settings.GEKKO_AUTHENTICATION`` may extend the list."""


def valid(kind: type[Any], request: Request) -> dict[str, Any]:
    """The request's body as the serializer ``kind`` reads it; refused as a problem that names each field."""
    read = kind(data=request.data)
    read.is_valid(raise_exception=True)
    data: dict[str, Any] = read.validated_data
    return data


class ApiBase:
    """What all API views share. ``self.ctx`` is the context for services."""

    request: Any
    renderer_classes: Any = (JSONRenderer,)
    parser_classes: Any = (JsonBody,)
    permission_classes: Any = (IsAuthenticated,)
    throttle_classes: Any = (AddressThrottle, CallerThrottle)
    pagination_class: Any = Cursor
    schema: Any = GekkoSchema()

    def get_authenticators(self) -> list[BaseAuthentication]:
        return [import_string(path)() for path in getattr(settings, "GEKKO_AUTHENTICATION", AUTHENTICATION)]

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return problems.exception_handler

    @property
    def ctx(self) -> Context:
        return context_of(self.request)


class ApiView(ApiBase, APIView):
    """For single actions."""


class ApiListView(ApiBase, GenericAPIView[Any]):
    """For one paginated list: set ``queryset`` or ``get_queryset`` and ``serializer_class``."""

    def get(self, _request: HttpRequest, *_args: Any, **_kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class ApiViewSet(ApiBase, GenericViewSet[Any]):
    """For records: ``list`` and ``retrieve`` are here, with ``ETag``; changes are actions that call one service."""

    def list(self, _request: HttpRequest, *_args: Any, **_kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, _request: HttpRequest, *_args: Any, **_kwargs: Any) -> Response:
        return with_etag(Response(self.get_serializer(self.get_object()).data))


class Anyone(BasePermission):
    """For sign-in: the view itself says what a caller without a session may do."""
