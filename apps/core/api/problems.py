"""Every refusal as an RFC 9457 problem: ``application/problem+json`` with code, detail, fields and request id."""

from __future__ import annotations

import math
from typing import Any, Final

import structlog
from django.core.exceptions import PermissionDenied
from django.db import DataError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from apps.core.errors import DomainError
from apps.core.middleware import request_ids

CONTENT_TYPE: Final = "application/problem+json"
TYPE_BASE: Final = "https://gekko.invalid/problems/"
"""A name, not an address: RFC 9457 lets ``type`` be a URI that nobody serves."""

log = structlog.get_logger(__name__)

_BY_STATUS: Final[dict[int, tuple[str, str]]] = {
    400: ("invalid", "The request is not valid"),
    401: ("not_authenticated", "Sign in first"),
    403: ("permission_refused", "You may not do this"),
    404: ("not_found", "There is no such object"),
    405: ("method_not_allowed", "This method is not offered here"),
    406: ("not_acceptable", "This form of answer is not offered"),
    415: ("unsupported_media_type", "Send JSON"),
    429: ("throttled", "Too many attempts"),
}


def problem(
    request: HttpRequest, *, status: int, code: str, title: str, detail: str, fields: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The body of a problem answer."""
    return {
        "type": TYPE_BASE + code,
        "status": status,
        "code": code,
        "title": title,
        "detail": detail,
        "fields": fields or {},
        "request_id": str(request_ids(request)[0]),
        "instance": request.path,
    }


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: the error tree, Django's and DRF's own exceptions all leave as problems; a bug leaves as 500."""
    request = context["request"]
    http: HttpRequest = getattr(request, "_request", request)
    headers: dict[str, str] = {}
    if isinstance(error, DomainError):
        body = problem(
            http, status=error.status, code=error.code, title=error.title, detail=error.detail, fields=error.fields
        )
        if "retry_after_s" in error.fields:
            headers["Retry-After"] = str(math.ceil(float(error.fields["retry_after_s"])))
    else:
        body, headers = _foreign(error, http)
    if body["status"] == 401:
        headers["WWW-Authenticate"] = "Token"
    set_rollback()
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def _foreign(error: Exception, http: HttpRequest) -> tuple[dict[str, Any], dict[str, str]]:
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied(str(error) or None)
    elif isinstance(error, (DataError, ValueError)) and "NUL" in str(error):
        # The database's driver refuses it wherever it comes from: a path, a filter, a cursor.
        error = exceptions.ParseError("expected text without NUL characters in the address")
    if not isinstance(error, exceptions.APIException):
        log.error("request failed", path=http.path, exc_info=error)
        detail = "Something failed on our side; the request id finds it in the logs."
        return problem(http, status=500, code="internal", title="Something failed", detail=detail), {}
    code, title = _BY_STATUS.get(error.status_code, ("error", "The request failed"))
    fields: dict[str, Any] = {}
    headers: dict[str, str] = {}
    detail = str(error.detail)
    if isinstance(error, exceptions.ValidationError):
        fields = flatten(error.get_full_details())
        detail = "; ".join(f"{name}: {' '.join(said)}" for name, said in fields.items())
    wait: float | None = getattr(error, "wait", None)
    if wait is not None:
        fields["retry_after_s"] = math.ceil(wait)
        headers["Retry-After"] = str(math.ceil(wait))
        detail = f"Too many requests; try again in {math.ceil(wait)} s."
    return problem(http, status=error.status_code, code=code, title=title, detail=detail, fields=fields), headers


def flatten(details: Any, place: str = "") -> dict[str, list[str]]:
    """DRF's nested error details as {"limits.0.value": ["message", ...]}."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        return {place or "request": [str(details["message"])]}
    found: dict[str, list[str]] = {}
    if isinstance(details, dict):
        parts = [(str(name), value) for name, value in details.items()]
    else:
        leaf = all(isinstance(value, dict) and set(value) == {"message", "code"} for value in details)
        parts = [("" if leaf else str(index), value) for index, value in enumerate(details)]
    for name, value in parts:
        inner = ".".join(part for part in (place, "" if name == "non_field_errors" else name) if part)
        for where, said in flatten(value, inner).items():
            found.setdefault(where, []).extend(said)
    return found


def not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:  # noqa: ARG001 - Django's signature
    """The answer for an API path that does not exist."""
    code, title = _BY_STATUS[404]
    body = problem(request, status=404, code=code, title=title, detail=f"Nothing is at {request.path}.")
    return JsonResponse(body, status=404, content_type=CONTENT_TYPE)
