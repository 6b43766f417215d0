"""Cursor pagination: stable while rows are added, no counting of large tables."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError
from rest_framework.exceptions import ParseError
from rest_framework.pagination import CursorPagination
from rest_framework.response import Response


class Cursor(CursorPagination):
    """``?cursor=...&limit=...``; answers {"results": [...], "next": url or null, "previous": url or null}.

    Rows come newest first unless the view sets ``ordering``; the ordering must be unique.
    """

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500
    ordering = "-id"

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError, DataError) as error:
            if request.query_params.get(self.cursor_query_param) is None:
                raise
            raise ParseError("expected a cursor of this list, as under next in its answers") from error

    def get_ordering(self, request: Any, queryset: Any, view: Any) -> tuple[str, ...]:  # noqa: ARG002 - the base class names them
        wanted = getattr(view, "cursor_ordering", None) or self.ordering
        return (wanted,) if isinstance(wanted, str) else tuple(wanted)

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.get_next_link(), "previous": self.get_previous_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {"results": schema, "next": link, "previous": link},
        }
