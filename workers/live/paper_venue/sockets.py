"""Websocket endpoints: raw and combined streams, live subscription, and the signed user data subscription."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from workers.live.paper_venue import errors, signing
from workers.live.paper_venue.errors import VenueError
from workers.live.paper_venue.hub import Connection
from workers.live.paper_venue.klines import INTERVALS_MS
from workers.live.paper_venue.rest import venue_of
from workers.live.paper_venue.venue import Venue

_KINDS = frozenset(
    {"trade", "bookTicker", "depth", "depth@100ms", "sessionStatus"} | {f"kline_{i}" for i in INTERVALS_MS}
)
_MAX_STREAMS = 1024


class _Command(msgspec.Struct):
    id: int | str | None = None
    method: str = ""
    params: list[str] | dict[str, Any] | None = None


_COMMAND = msgspec.json.Decoder(_Command)


def is_socket(request: web.Request) -> bool:
    """True for a websocket upgrade."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


async def serve(request: web.Request) -> web.WebSocketResponse:
    """Run one websocket connection to its end."""
    venue = venue_of(request)
    if venue.down:
        raise web.HTTPServiceUnavailable
    socket = web.WebSocketResponse(heartbeat=30.0, compress=False, max_msg_size=64 * 1024)
    await socket.prepare(request)
    names, combined = _asked(request)
    connection = Connection(socket, combined=combined, transport=request.transport)
    venue.hub.add(connection)
    pump = asyncio.create_task(connection.pump())
    try:
        for name in names:
            _subscribe(venue, connection, name)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                connection.push(_answer(venue, connection, message.data))
    except VenueError as error:
        await socket.close(code=1008, message=error.msg.encode())
    finally:
        venue.hub.remove(connection)
        connection.stop()
        await asyncio.gather(pump, return_exceptions=True)
    return socket


def _asked(request: web.Request) -> tuple[list[str], bool]:
    """Streams that the address names, and whether messages are wrapped with the stream's name."""
    path = request.path
    if path.endswith("/stream") or path == "/stream":
        return [s for s in request.query.get("streams", "").split("/") if s], True
    name = path.rpartition("/ws/")[2] if "/ws/" in path else ""
    return ([s for s in name.split("/") if "@" in s or len(s) >= 60], False)


def _subscribe(venue: Venue, connection: Connection, name: str) -> None:
    """Subscribe to a stream; VenueError for one that does not exist."""
    if name in venue.desk.listen_keys:
        venue.hub.subscribe(connection, name)
        return
    symbol, _, kind = name.partition("@")
    listing = venue.market.listings.get(symbol.upper())
    if listing is None or symbol != listing.stream or kind not in _KINDS:
        raise VenueError(2, f"Invalid request: invalid stream {name[:80]}")
    if len(connection.streams) >= _MAX_STREAMS:
        raise VenueError(2, f"Invalid request: more than {_MAX_STREAMS} streams")
    venue.hub.subscribe(connection, name)
    if kind == "sessionStatus":
        status = venue.market.session_status(listing.instrument.symbol, venue.clock())
        wrapped = b'{"stream":"' + name.encode() + b'","data":' + status + b"}"
        connection.push(wrapped if connection.combined else status)


def _answer(venue: Venue, connection: Connection, text: str) -> bytes:
    number: int | str | None = None
    try:
        command = _COMMAND.decode(text)
        number = command.id
        result = _carry_out(venue, connection, command)
    except msgspec.DecodeError as error:
        return msgspec.json.encode({"error": {"code": 3, "msg": f"Invalid JSON: {error}"}, "id": number})
    except VenueError as error:
        answer: dict[str, Any] = {"error": {"code": error.code, "msg": error.msg}, "id": number}
        if error.code < 0:
            answer["status"] = error.status
        return msgspec.json.encode(answer)
    return msgspec.json.encode(result)


def _carry_out(venue: Venue, connection: Connection, command: _Command) -> dict[str, Any]:
    params = command.params if isinstance(command.params, list) else []
    match command.method:
        case "SUBSCRIBE":
            for name in params:
                _subscribe(venue, connection, name)
            result: Any = None
        case "UNSUBSCRIBE":
            for name in params:
                venue.hub.unsubscribe(connection, name)
            result = None
        case "LIST_SUBSCRIPTIONS":
            result = sorted(connection.streams)
        case "userDataStream.subscribe.signature":
            signed = command.params if isinstance(command.params, dict) else {}
            return {"id": command.id, "status": 200, "result": _subscribe_user(venue, connection, signed)}
        case _:
            raise VenueError(1, f"Invalid value type: unknown method {command.method[:80]}")
    return {"result": result, "id": command.id}


def _subscribe_user(venue: Venue, connection: Connection, params: Mapping[str, Any]) -> dict[str, int]:
    """Signed subscription to the account's events: the signature is over the sorted parameters."""
    texts = {k: str(v) for k, v in params.items()}
    venue.credentials.check_key(texts.get("apiKey"))
    signature = texts.pop("signature", "")
    if not signature:
        raise errors.missing("signature")
    signing.check_time(texts, venue.now_ms)
    payload = "&".join(f"{k}={v}" for k, v in sorted(texts.items()))
    venue.credentials.check_signature(payload, signature)
    connection.user_subscription = 0
    return {"subscriptionId": 0}
