"""A fake of the older Coinbase Exchange on loopback: its feed and its signed REST, as its documents say.

One account, one product with one bid and one ask. Every private request's signature is verified.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from aiohttp import WSMsgType, web

from tests.support.fake_coinbase import PRODUCT, now_text

KEY, PASSPHRASE = "exchange-key", "open sesame"
SECRET = base64.b64encode(b"s" * 32).decode()
LISTED = {
    "id": PRODUCT,
    "base_currency": "BTC",
    "quote_currency": "USD",
    "base_increment": "0.00000001",
    "quote_increment": "0.01",
    "min_market_funds": "1",
    "status": "online",
    "margin_enabled": False,
}


class FakeExchange:
    """``down`` refuses everything; ``fail_after_accepting`` loses the answer to the next order."""

    def __init__(self) -> None:
        self.sockets: set[web.WebSocketResponse] = set()
        self.heard: list[dict[str, Any]] = []
        self.quantity = 1
        self.trade_id = 1000
        self.orders: dict[str, dict[str, Any]] = {}
        self.fills: list[dict[str, Any]] = []
        self.posted: list[dict[str, Any]] = []
        self.refused: list[str] = []
        """Private requests whose signature was wrong."""
        self.fail_after_accepting = False
        self.down = False
        self._runner: web.AppRunner | None = None

    @property
    def host(self) -> str:
        assert self._runner is not None
        return f"127.0.0.1:{self._runner.addresses[0][1]}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FakeExchange]:
        """Serve on a free port."""
        app = web.Application(middlewares=[self._up])
        app.add_routes(
            [
                web.get("/", self._talk),
                web.get("/time", self._time),
                web.get("/currencies", self._currencies),
                web.get("/products", self._products),
                web.get(f"/products/{PRODUCT}/candles", self._candles),
                web.get(f"/products/{PRODUCT}/book", self._book),
                web.get(f"/products/{PRODUCT}/trades", self._trades),
                web.get("/accounts", self._accounts),
                web.post("/orders", self._order),
                web.get("/orders", self._list),
                web.get("/orders/{number}", self._one),
                web.delete("/orders/{number}", self._cancel),
                web.get("/fills", self._fills),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        try:
            yield self
        finally:
            await self._runner.cleanup()

    @web.middleware
    async def _up(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.down:
            return web.json_response({"message": "unavailable"}, status=503)
        if request.path.startswith(("/accounts", "/orders", "/fills")) and not await self._signed(request):
            self.refused.append(f"{request.method} {request.raw_path}")
            return web.json_response({"message": "invalid signature"}, status=401)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _signed(self, request: web.Request) -> bool:
        head = request.headers
        what = f"{head.get('CB-ACCESS-TIMESTAMP')}{request.method}{request.raw_path}{await request.text()}"
        expected = hmac.new(base64.b64decode(SECRET), what.encode(), hashlib.sha256).digest()
        given = (head.get("CB-ACCESS-KEY"), head.get("CB-ACCESS-PASSPHRASE"), head.get("CB-ACCESS-SIGN"))
        return given == (KEY, PASSPHRASE, base64.b64encode(expected).decode())

    # -- market data

    async def pulse(self, every_s: float = 0.1) -> None:
        """A market that lives, until cancelled."""
        while True:
            await self.update()
            await self.trade()
            await self._tell({"type": "heartbeat", "last_trade_id": self.trade_id, "sequence": 1})
            await asyncio.sleep(every_s)

    async def update(self) -> None:
        """The bid's quantity changes; the ticker of the same time says the best prices after it."""
        self.quantity += 1
        at = now_text()
        await self._tell({"type": "l2update", "changes": [["buy", "100.00", f"{self.quantity}"]], "time": at})
        best = {"best_bid": "100.00", "best_bid_size": f"{self.quantity}", "best_ask": "100.02", "best_ask_size": "5"}
        await self._tell({"type": "ticker", "time": at, **best})

    async def trade(self) -> None:
        """Somebody buys."""
        self.trade_id += 1
        await self._tell({"type": "match", **self._match()})

    def _match(self) -> dict[str, Any]:
        return {"trade_id": self.trade_id, "side": "sell", "price": "100.02", "size": "0.5"}

    async def _tell(self, message: dict[str, Any]) -> None:
        for socket in list(self.sockets):
            with contextlib.suppress(ConnectionError):
                await socket.send_json({"product_id": PRODUCT, "time": now_text(), **message})

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._hear(socket, json.loads(message.data))
        finally:
            self.sockets.discard(socket)
        return socket

    async def _hear(self, socket: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        self.heard.append(asked)
        channels = [{"name": name, "product_ids": asked["product_ids"]} for name in asked["channels"]]
        await socket.send_json({"type": "subscriptions", "channels": channels})
        if asked["type"] != "subscribe":
            return
        if "level2_batch" in asked["channels"]:
            book = {"bids": [["100.00", f"{self.quantity}"]], "asks": [["100.02", "5"]]}
            await socket.send_json({"type": "snapshot", "product_id": PRODUCT, **book})
        if "matches" in asked["channels"]:
            last = {"type": "last_match", "product_id": PRODUCT, "time": now_text()}
            await socket.send_json({**last, **self._match()})
        self.sockets.add(socket)

    async def disconnect(self) -> None:
        """Cut every connection."""
        for socket in list(self.sockets):
            await socket.close(code=1001, message=b"bye")

    async def _time(self, _: web.Request) -> web.Response:
        now = datetime.fromisoformat(now_text())
        return web.json_response({"iso": now_text(), "epoch": now.timestamp()})

    async def _currencies(self, _: web.Request) -> web.Response:
        return web.json_response([{"id": name, "name": name, "max_precision": "0.00000001"} for name in ("BTC", "USD")])

    async def _products(self, _: web.Request) -> web.Response:
        return web.json_response([LISTED])

    async def _candles(self, request: web.Request) -> web.Response:
        """Newest first: time, low, high, open, close, volume."""
        step = int(request.query["granularity"])
        first, last = (
            int(datetime.fromisoformat(f"{request.query[name][:19]}+00:00").timestamp()) for name in ("start", "end")
        )
        return web.json_response(
            [[at, 99.5, 101, 100, 100.01, 3.5] for at in range(last - last % step, first - 1, -step)]
        )

    async def _book(self, _: web.Request) -> web.Response:
        return web.json_response({"bids": [["99.00", "2", 1]], "asks": [["99.02", "2", 1]], "sequence": 1})

    async def _trades(self, _: web.Request) -> web.Response:
        return web.json_response([{**self._match(), "time": now_text()}])

    # -- account

    def totals(self) -> dict[str, Decimal]:
        """What the account holds after all fills."""
        held = {"BTC": Decimal("1.75"), "USD": Decimal("1000.5")}
        for fill in self.fills:
            sign = 1 if fill["side"] == "buy" else -1
            held["BTC"] += sign * Decimal(fill["size"])
            held["USD"] -= sign * Decimal(fill["size"]) * Decimal(fill["price"]) + Decimal(fill["fee"])
        return held

    async def _accounts(self, _: web.Request) -> web.Response:
        rows = [
            {"currency": name, "balance": str(total), "available": str(total), "hold": "0"}
            for name, total in self.totals().items()
        ]
        return web.json_response(rows)

    async def _order(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.posted.append(body)
        try:
            UUID(body["client_oid"])
        except ValueError:
            return web.json_response({"message": "Invalid client_oid"}, status=400)
        number = f"order-{len(self.orders) + 1}"
        order = {
            "id": number,
            "client_oid": body["client_oid"],
            "product_id": body["product_id"],
            "side": body["side"],
            "type": body["type"],
            "size": body["size"],
            "price": body.get("price"),
            "status": "open",
            "filled_size": "0",
            "executed_value": "0",
            "fill_fees": "0",
            "created_at": now_text(),
        }
        self.orders[number] = order
        if body["type"] == "market":
            self.fill(number, body["size"], "100.02" if body["side"] == "buy" else "100.00")
        if self.fail_after_accepting:
            self.fail_after_accepting = False
            return web.json_response({"message": "internal"}, status=500)
        return web.json_response({**order, "status": "pending"})

    def fill(self, number: str, size: str, price: str) -> None:
        """Fill part of an order."""
        order = self.orders[number]
        filled = Decimal(order["filled_size"]) + Decimal(size)
        order["filled_size"] = str(filled)
        if filled == Decimal(order["size"]):
            order |= {"status": "done", "done_reason": "filled"}
        self.fills.append(
            {
                "trade_id": 500 + len(self.fills),
                "product_id": PRODUCT,
                "order_id": number,
                "side": order["side"],
                "price": price,
                "size": size,
                "fee": str(Decimal(size) * Decimal(price) * Decimal("0.006")),
                "liquidity": "T",
                "settled": True,
                "created_at": now_text(),
            }
        )

    async def _list(self, request: web.Request) -> web.Response:
        wanted = request.query.getall("status", [])
        found = [one for one in self.orders.values() if "all" in wanted or one["status"] in (wanted or ["open"])]
        return web.json_response(found)

    async def _one(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        asked = ("client_oid", number.removeprefix("client:")) if number.startswith("client:") else ("id", number)
        order = next((one for one in self.orders.values() if one[asked[0]] == asked[1]), None)
        return web.json_response(order or {"message": "NotFound"}, status=200 if order else 404)

    async def _cancel(self, request: web.Request) -> web.Response:
        order = self.orders.get(request.match_info["number"])
        if order is None or order["status"] != "open":
            return web.json_response({"message": "order not found"}, status=404)
        order |= {"status": "done", "done_reason": "canceled"}
        return web.json_response(order["id"])

    async def _fills(self, request: web.Request) -> web.Response:
        since = request.query.get("start_date", "")[:23]
        return web.json_response([one for one in reversed(self.fills) if one["created_at"][:23] >= since])
