"""Dispatch of REST requests: host prefix, security, weights, Binance's errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from workers.live.paper_venue import errors, signing
from workers.live.paper_venue.errors import VenueError
from workers.live.paper_venue.stage import Stage
from workers.live.paper_venue.venue import Venue


class Security(Enum):
    """What a request must carry."""

    NONE = 0
    KEY = 1
    SIGNED = 2


class Params(dict[str, str]):
    """Parameters of a request; the accessors raise Binance's errors."""

    def need(self, name: str) -> str:
        """A parameter that must be there; -1102."""
        value = self.get(name, "")
        if not value:
            raise errors.missing(name)
        return value

    def integer(self, name: str, default: int | None = None) -> int | None:
        """A whole number; -1100 for anything else."""
        value = self.get(name, "")
        if not value:
            return default
        if not value.lstrip("-").isdigit():
            raise errors.illegal(name, value)
        return int(value)

    def limit(self, default: int, most: int) -> int:
        """``limit`` within 1..most."""
        value = self.integer("limit", default)
        return min(max(value or default, 1), most)


Handler = Callable[[Venue, Params], Awaitable[Any]]


class Route(msgspec.Struct, frozen=True):
    """One endpoint; ``weight`` may depend on the parameters."""

    handler: Handler
    weight: int | Callable[[Params], int] = 1
    security: Security = Security.NONE


class NoAnswerError(Exception):
    """Fault: the request was carried out, and the client must never hear of it."""


_OPEN_TO_ALL = frozenset({"/api/v3/ping", "/api/v3/time"})
STAGE_KEY = web.AppKey("stage", Stage)
Routes = Mapping[tuple[str, str], Route]


def venue_of(request: web.Request) -> Venue:
    """The venue that the request's path is meant for; 404 for a name that is not played."""
    stage = request.app[STAGE_KEY]
    venue = stage.at(request.path)
    if venue is None:
        known = ", ".join(stage.others) or "none"
        text = msgspec.json.encode({"code": -1000, "msg": f"Unknown venue; played beside the home venue: {known}."})
        raise web.HTTPNotFound(text=text.decode(), content_type="application/json")
    return venue


def api_path(path: str) -> str:
    """The path without the host that the rewired client puts first."""
    at = path.find("/api/v3/")
    return path[at:] if at >= 0 else path


async def dispatch(request: web.Request, routes: Routes) -> web.StreamResponse:
    """Answer one REST request."""
    venue = venue_of(request)
    path = api_path(request.path)
    route = routes.get((request.method, path))
    try:
        response = _json(await _answer(venue, route, request))
    except VenueError as error:
        response = _json({"code": error.code, "msg": error.msg}, error.status)
        if error.retry_after:
            response.headers["Retry-After"] = str(error.retry_after)
    except NoAnswerError:
        return await _silence(request)
    response.headers["X-MBX-USED-WEIGHT"] = response.headers["X-MBX-USED-WEIGHT-1M"] = str(venue.weights.used)
    if path == "/api/v3/order":
        response.headers["X-MBX-ORDER-COUNT-10S"] = str(venue.order_count.used)
    key = (f"{request.method} {path if route else 'unknown'}", response.status)
    venue.requests[key] = venue.requests.get(key, 0) + 1
    return response


async def _answer(venue: Venue, route: Route | None, request: web.Request) -> Any:
    if venue.down:
        raise VenueError(*errors.OUTAGE, status=503)
    if route is None:
        raise VenueError(-1000, f"Unknown path {request.method} {api_path(request.path)}", status=404)
    answer = await route.handler(venue, await _admit(venue, route, request))
    if route.security is Security.SIGNED:
        await _durable(venue)
    return answer


async def _durable(venue: Venue) -> None:
    """What is told of the account is on disk first, or a crash would make it untrue."""
    try:
        await venue.journal.flushed()
    except OSError as error:
        raise VenueError(*errors.OUTAGE, status=503) from error


async def _admit(venue: Venue, route: Route, request: web.Request) -> Params:
    query = request.rel_url.raw_query_string
    try:
        body = (await request.read()).decode("ascii")
    except UnicodeDecodeError:
        raise VenueError(-1100, "Illegal characters found in the request body.") from None
    params = Params(parse_qsl(query, keep_blank_values=True))
    params.update(parse_qsl(body, keep_blank_values=True))
    weight = route.weight if isinstance(route.weight, int) else route.weight(params)
    wait = venue.weights.add(weight, venue.now_ms)
    if wait:
        raise errors.too_many_requests(wait)
    if route.security is not Security.NONE:
        venue.credentials.check_key(request.headers.get("X-MBX-APIKEY"))
    if route.security is Security.SIGNED:
        signature = params.get("signature", "")
        if not signature:
            raise errors.missing("signature")
        signing.check_time(params, venue.now_ms)
        venue.credentials.check_signature(signing.unsigned(query, body), signature)
    return params


def _json(answer: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), status=status, content_type="application/json")


async def _silence(request: web.Request) -> web.StreamResponse:
    """Hold the connection open until the client gives up, then drop it."""
    transport = request.transport
    for _ in range(1200):
        if transport is None or transport.is_closing():
            break
        await asyncio.sleep(0.05)
    if transport is not None:
        transport.abort()
    return web.Response(status=500)
