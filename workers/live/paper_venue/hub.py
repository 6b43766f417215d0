"""Websocket subscribers and what each of them gets. A message is encoded once, however many read it."""

from __future__ import annotations

import asyncio
from collections import deque

from aiohttp import WSMsgType, web

_QUEUE_LIMIT = 20_000


class Connection:
    """One websocket client with its streams and its queue; a client that does not keep up is closed."""

    def __init__(self, socket: web.WebSocketResponse, *, combined: bool, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self._transport = transport
        self.combined = combined
        self.streams: set[str] = set()
        self.user_subscription: int | None = None
        self._queue: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._closing = False

    def push(self, message: bytes) -> None:
        """Queue a text message."""
        if self._closing:
            return
        if len(self._queue) >= _QUEUE_LIMIT:
            self.abort()
            return
        self._queue.append(message)
        self._wake.set()

    def stop(self) -> None:
        """Let the pump end after the message at hand."""
        self._closing = True
        self._queue.clear()
        self._wake.set()

    def abort(self) -> None:
        """Cut the connection without a goodbye of the protocol, as a broken network does."""
        self.stop()
        if self._transport is not None:
            self._transport.abort()

    async def pump(self) -> None:
        """Send what is queued until the connection ends."""
        while not self._closing and not self.socket.closed:
            await self._wake.wait()
            self._wake.clear()
            while self._queue and not self.socket.closed:
                await self.socket.send_frame(self._queue.popleft(), WSMsgType.TEXT)


class Hub:
    """Which connection reads which stream."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.sent: dict[str, int] = {}
        self._readers: dict[str, set[Connection]] = {}

    def add(self, connection: Connection) -> None:
        """Count a new connection in."""
        self.connections.add(connection)

    def remove(self, connection: Connection) -> None:
        """Forget a connection and its subscriptions."""
        for stream in tuple(connection.streams):
            self.unsubscribe(connection, stream)
        self.connections.discard(connection)

    def subscribe(self, connection: Connection, stream: str) -> None:
        """Send ``stream`` to the connection from now on."""
        connection.streams.add(stream)
        self._readers.setdefault(stream, set()).add(connection)

    def unsubscribe(self, connection: Connection, stream: str) -> None:
        """Stop sending ``stream`` to the connection."""
        connection.streams.discard(stream)
        readers = self._readers.get(stream)
        if readers is not None:
            readers.discard(connection)
            if not readers:
                del self._readers[stream]

    def wants(self, stream: str) -> bool:
        """True when somebody reads the stream: nothing is encoded for nobody."""
        return stream in self._readers

    def publish(self, stream: str, message: bytes) -> None:
        """Queue a message for every reader of the stream."""
        readers = self._readers.get(stream)
        if not readers:
            return
        wrapped = b""
        for connection in tuple(readers):
            if connection.combined:
                wrapped = wrapped or b'{"stream":"' + stream.encode() + b'","data":' + message + b"}"
            connection.push(wrapped if connection.combined else message)
        kind = stream.partition("@")[2] or "user"
        self.sent[kind] = self.sent.get(kind, 0) + len(readers)

    def publish_subscriptions(self, message: bytes) -> None:
        """Queue a user event for the connections that subscribed with a signature."""
        for connection in tuple(self.connections):
            if connection.user_subscription is not None:
                number = str(connection.user_subscription).encode()
                connection.push(b'{"subscriptionId":' + number + b',"event":' + message + b"}")
                self.sent["user"] = self.sent.get("user", 0) + 1

    def drop_all(self) -> None:
        """Cut every websocket."""
        for connection in tuple(self.connections):
            connection.abort()
