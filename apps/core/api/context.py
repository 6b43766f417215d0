"""From an HTTP request to the context that services take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from django.http import HttpRequest
from rest_framework.request import Request

from apps.core.context import Actor, ActorKind, Context
from apps.core.middleware import request_ids

ANONYMOUS: Final = Actor(kind=ActorKind.USER, id="anonymous", name="anonymous")

Filler = Callable[[Request | HttpRequest, Context], Context]
_fillers: list[Filler] = []


def context_filler(filler: Filler) -> Filler:
    """Register who turns a signed-in request into an actor; accounts does, core knows nobody."""
    if filler not in _fillers:
        _fillers.append(filler)
    return filler


def context_of(request: Request | HttpRequest) -> Context:
    """The context of ``request``: who, from where, how well proven. Built once per request."""
    http = http_of(request)
    known: Context | None = getattr(http, "gekko_context", None)
    if known is not None:
        return known
    ctx = bare_context(http)
    for filler in _fillers:
        ctx = filler(request, ctx)
    if ctx.actor is not ANONYMOUS:
        http.gekko_context = ctx  # type: ignore[attr-defined]  # HttpRequest is Django's place for such values
    return ctx


def http_of(request: Request | HttpRequest) -> HttpRequest:
    """Django's request, whichever of the two came."""
    return cast("HttpRequest", getattr(request, "_request", request))


def bare_context(request: HttpRequest) -> Context:
    """Nobody in particular, from where the request comes."""
    request_id, trace_id = request_ids(request)
    origin = "api" if request.path.startswith("/api/") else "web"
    return Context(actor=ANONYMOUS, request_id=request_id, trace_id=trace_id, ip=client_ip(request), origin=origin)


def client_ip(request: HttpRequest) -> str:
    """The peer's address. ``X-Forwarded-For`` is the server's matter (uvicorn ``--forwarded-allow-ips``), not ours."""
    return str(request.META.get("REMOTE_ADDR", ""))
