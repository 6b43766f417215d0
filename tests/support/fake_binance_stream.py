"""A fake of Binance spot's market data on loopback: one port, websocket and REST depth, scripted by the test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


def now_ms() -> int:
    """Time of the fake venue's clock."""
    return time.time_ns() // 1_000_000


class FakeBinance:
    """Keeps a depth sequence of one bid and one ask, and does what the test says."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.paths: list[str] = []
        self.snapshot_requests = 0
        self.snapshot_answers: list[tuple[int, dict[str, str]]] = []
        """Status and headers of the next snapshot answers; 200 when there is none."""
        self.refuse_connections = 0
        self.trades: list[dict[str, Any]] = []
        """What REST lists, oldest first."""
        self.trade_answers: list[tuple[int, dict[str, str]]] = []
        """Status and headers of the next answers to polls of trades; 200 when there is none."""
        self.polled_at: list[float] = []
        """When trades were asked for, by the monotonic clock."""
        self.last_id = 100
        self.bid_quantity = 1
        self.connected = asyncio.Event()
        self._server: Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = next(iter(self._server.sockets)).getsockname()[1]
        return port

    async def send(self, stream: str, data: dict[str, Any]) -> None:
        """Send a frame to whoever is connected."""
        for socket in self.sockets:
            with contextlib.suppress(ConnectionClosed):
                await socket.send(json.dumps({"stream": stream, "data": data}, separators=(",", ":")))

    async def send_raw(self, text: str | list[str]) -> None:
        """Send one message, in fragments if it is a list."""
        for socket in self.sockets:
            await socket.send(text)

    async def update(self, *, lose: bool = False) -> None:
        """Change the best bid's quantity; with ``lose`` nobody is told."""
        self.last_id += 1
        self.bid_quantity += 1
        level = ["100.00", f"{self.bid_quantity}.00000"]
        frame = {
            "e": "depthUpdate",
            "E": now_ms(),
            "s": "BTCUSDT",
            "U": self.last_id,
            "u": self.last_id,
            "b": [level],
            "a": [],
        }
        if not lose:
            await self.send("btcusdt@depth@100ms", frame)

    async def trade(self, *, lose: bool = False) -> int:
        """Somebody trades a lot; with ``lose`` no stream tells of it. Returns the trade's id."""
        at, number = now_ms(), len(self.trades) + 1
        self.trades.append({"id": number, "price": "100.01", "qty": "0.00001", "time": at, "isBuyerMaker": True})
        frame = {"e": "trade", "E": at, "s": "BTCUSDT", "t": number, "p": "100.01", "q": "0.00001", "T": at, "m": True}
        if not lose:
            await self.send("btcusdt@trade", frame)
        return number

    async def disconnect(self) -> None:
        """Cut every connection."""
        self.connected.clear()
        for socket in list(self.sockets):
            await socket.close(1001, "bye")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FakeBinance]:
        """Serve on a free port."""
        async with serve(self._talk, "127.0.0.1", 0, process_request=self._http, compression=None) as server:
            self._server = server
            yield self

    async def _talk(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        self.connected.set()
        try:
            await socket.wait_closed()
        finally:
            self.sockets.remove(socket)

    def _http(self, socket: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        self.paths.append(request.path)
        if url.path == "/stream":
            if self.refuse_connections:
                self.refuse_connections -= 1
                return socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "later\n")
            return None
        assert parse_qs(url.query)["symbol"] == ["BTCUSDT"]
        if url.path == "/api/v3/ticker/bookTicker":
            quantity = f"{self.bid_quantity}.00000"
            quote = {"bidPrice": "100.00", "bidQty": quantity, "askPrice": "100.02", "askQty": "5.00000"}
            return _answer(200, {}, quote)
        if url.path == "/api/v3/trades":
            self.polled_at.append(time.monotonic())
            return _answer(*(self.trade_answers.pop(0) if self.trade_answers else (200, {})), self.trades[-1000:])
        assert url.path == "/api/v3/depth"
        self.snapshot_requests += 1
        status, headers = self.snapshot_answers.pop(0) if self.snapshot_answers else (200, {})
        body = {
            "lastUpdateId": self.last_id,
            "bids": [["100.00", f"{self.bid_quantity}.00000"]],
            "asks": [["100.02", "5.00000"]],
        }
        return _answer(status, headers, body)


def _answer(status: int, headers: dict[str, str], body: Any) -> Response:
    raw = json.dumps(body).encode()
    fields = Headers({"Content-Type": "application/json", "Content-Length": str(len(raw)), **headers})
    return Response(status, "", fields, raw)
