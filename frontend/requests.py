"""What Dash asks of a web framework about the request at hand and the answer, told by Django."""

from __future__ import annotations

import json
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, Final

from dash.backends.base_server import RequestAdapter, ResponseAdapter
from django.http import HttpRequest, HttpResponse

CURRENT: Final[ContextVar[HttpRequest]] = ContextVar("dash_request")


def current_request() -> HttpRequest:
    """The request that Dash is answering now; LookupError outside of one."""
    return CURRENT.get()


class DjangoRequest(RequestAdapter):
    """Dash's view of Django's request."""

    @property
    def context(self) -> Any:
        """Dash's notes about this request, kept on the request itself."""
        request: Any = CURRENT.get()
        if not hasattr(request, "dash_notes"):
            request.dash_notes = SimpleNamespace()
        return request.dash_notes

    @property
    def root(self) -> str:
        return CURRENT.get().build_absolute_uri("/")

    @property
    def args(self) -> Any:
        return CURRENT.get().GET

    def get_json(self) -> Any:
        return json.loads(CURRENT.get().body)

    @property
    def is_json(self) -> bool:
        return CURRENT.get().content_type == "application/json"

    @property
    def cookies(self) -> Any:
        return CURRENT.get().COOKIES

    @property
    def headers(self) -> Any:
        return CURRENT.get().headers

    @property
    def full_path(self) -> str:
        return CURRENT.get().get_full_path()

    @property
    def url(self) -> str:
        return CURRENT.get().build_absolute_uri()

    @property
    def remote_addr(self) -> Any:
        return CURRENT.get().META.get("REMOTE_ADDR")

    @property
    def origin(self) -> Any:
        return CURRENT.get().headers.get("Origin")

    @property
    def path(self) -> str:
        return CURRENT.get().path


class DjangoResponse(ResponseAdapter):
    """The answer to a callback."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # dash has no annotations here
        self._response = HttpResponse(content_type="application/json")

    @property
    def callback_response(self) -> HttpResponse:
        return self._response

    def set_cookie(self, key: str, value: str = "", **kwargs: Any) -> None:
        self._response.set_cookie(key, value, **kwargs)

    def append_header(self, key: str, value: str) -> None:
        self._response.headers[key] = value

    def set_header(self, key: str, value: str) -> None:
        self._response.headers[key] = value

    def set_response(self, **kwargs: Any) -> HttpResponse:
        self._response.content = kwargs.get("data", "")
        return self._response
