"""Gives every request its ids before anything else runs, and every answer the request id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast
from uuid import UUID

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from apps.core.tracing import request_id_of, trace_id_of

SyncHandler = Callable[[HttpRequest], HttpResponseBase]
AsyncHandler = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


def request_ids(request: HttpRequest) -> tuple[UUID, str]:
    """(request id, trace id) of ``request``; read from its headers where the middleware has not run."""
    ids = getattr(request, "gekko_ids", None)
    if ids is None:
        ids = (
            request_id_of(request.headers.get("X-Request-ID", "")),
            trace_id_of(request.headers.get("traceparent", "")),
        )
        request.gekko_ids = ids  # type: ignore[attr-defined]  # HttpRequest is Django's place for such values
    return cast("tuple[UUID, str]", ids)


class RequestContextMiddleware:
    """First in the list, so that refusals by the others carry the ids too. Works sync and async."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: SyncHandler | AsyncHandler) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if iscoroutinefunction(self.get_response):
            return self._answer_async(request)
        request_id = self._bind(request)
        response = cast("SyncHandler", self.get_response)(request)
        return self._stamp(response, request_id)

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        request_id = self._bind(request)
        response = await cast("AsyncHandler", self.get_response)(request)
        return self._stamp(response, request_id)

    def _bind(self, request: HttpRequest) -> UUID:
        request_id, trace_id = request_ids(request)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=str(request_id), trace_id=trace_id)
        return request_id

    def _stamp(self, response: HttpResponseBase, request_id: UUID) -> HttpResponseBase:
        response.headers["X-Request-ID"] = str(request_id)
        return response
