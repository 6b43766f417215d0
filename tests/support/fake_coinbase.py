"""A fake of Coinbase on loopback: Advanced Trade's websocket and signed REST, scripted by the test.

It keeps one book of one bid and one ask in BTC-USD, numbers every message of a connection, and verifies every token.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiohttp import WSMsgType, web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

PRODUCT = "BTC-USD"
LISTED = {
    "product_id": PRODUCT,
    "base_currency_id": "BTC",
    "quote_currency_id": "USD",
    "base_increment": "0.00000001",
    "price_increment": "0.01",
    "quote_increment": "0.01",
    "base_min_size": "0.00000001",
    "base_max_size": "3400",
    "quote_min_size": "1",
    "trading_disabled": False,
}


def now_text() -> str:
    """The fake's clock as Coinbase writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def unpad(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class FakeCoinbase:
    """One account, one product."""

    def __init__(self, key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | None = None) -> None:
        self.key = key
        self.key_name = "organizations/1/apiKeys/2"
        self.sockets: dict[web.WebSocketResponse, int] = {}
        """Connection to the number of its next message."""
        self.heard: list[dict[str, Any]] = []
        self.nonces: set[str] = set()
        self.quantity = 1
        self.trade_id = 1000
        self.connects = 0
        self.refuse_streams = False
        self.snapshots = 0
        self.orders: dict[str, dict[str, Any]] = {}
        self.fills: list[dict[str, Any]] = []
        self.posted: list[dict[str, Any]] = []
        self.answers: list[tuple[int, Any, dict[str, str]]] = []
        """What the next order requests get instead: status, body, headers; status 0 cuts the connection."""
        self.fail_after_accepting = False
        self.down = False
        """Every request gets 503 and every connection is refused."""
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        assert self._runner is not None
        port: int = self._runner.addresses[0][1]
        return port

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FakeCoinbase]:
        """Serve on a free port."""
        app = web.Application(middlewares=[self._up])
        base = "/api/v3/brokerage"
        app.add_routes(
            [
                web.get("/", self._talk),
                web.get(f"{base}/time", self._time),
                web.get(f"{base}/market/products", self._products),
                web.get(f"{base}/products", self._products),
                web.get(f"{base}/market/product_book", self._product_book),
                web.get(f"{base}/market/products/{PRODUCT}/ticker", self._ticker),
                web.get(f"{base}/market/products/{PRODUCT}/candles", self._candles),
                web.get(f"{base}/transaction_summary", self._fees),
                web.get(f"{base}/accounts", self._accounts),
                web.post(f"{base}/orders", self._order),
                web.post(f"{base}/orders/batch_cancel", self._cancel),
                web.get(f"{base}/orders/historical/batch", self._list),
                web.get(f"{base}/orders/historical/fills", self._fills),
                web.get(f"{base}/orders/historical/{{order_id}}", self._one),
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
            return web.json_response({"error": "UNAVAILABLE"}, status=503)
        answer: web.StreamResponse = await handler(request)
        return answer

    # -- market data

    async def pulse(self, every_s: float = 0.1) -> None:
        """A market that lives, until cancelled: the bid's quantity changes, with heartbeats and trades."""
        while True:
            await self.heartbeat()
            await self.update()
            await self.trade()
            await asyncio.sleep(every_s)

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_streams:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connects += 1
        self.sockets[socket] = 0
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._hear(socket, json.loads(message.data))
        finally:
            del self.sockets[socket]
        return socket

    async def _hear(self, socket: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        self.heard.append(asked)
        if asked["type"] == "subscribe" and asked["channel"] == "level2":
            self.snapshots += 1
            updates = [self._level("bid", "100.00", self.quantity), self._level("offer", "100.02", 5)]
            await self._send(socket, "l2_data", [{"type": "snapshot", "product_id": PRODUCT, "updates": updates}])
        if asked["type"] == "subscribe" and asked["channel"] == "market_trades":
            await self._send(socket, "market_trades", [{"type": "snapshot", "trades": [self._trade()]}])
        await self._send(socket, "subscriptions", [{"subscriptions": {asked["channel"]: [PRODUCT]}}])

    def _level(self, side: str, price: str, quantity: int) -> dict[str, str]:
        return {
            "side": side,
            "event_time": now_text(),
            "price_level": price,
            "new_quantity": f"{quantity}",
        }

    def _trade(self) -> dict[str, str]:
        return {
            "trade_id": str(self.trade_id),
            "product_id": PRODUCT,
            "price": "100.02",
            "size": "0.5",
            "side": "SELL",
            "time": now_text(),
        }

    async def _send(self, socket: web.WebSocketResponse, channel: str, events: list[dict[str, Any]]) -> None:
        number = self.sockets[socket]
        self.sockets[socket] = number + 1
        body = {
            "channel": channel,
            "client_id": "",
            "timestamp": now_text(),
            "sequence_num": number,
            "events": events,
        }
        await socket.send_json(body)

    async def update(self, *, lose: bool = False, side: str = "bid", price: str = "100.00") -> None:
        """Change the best bid's quantity; with ``lose`` the message is numbered and never sent."""
        self.quantity += 1
        for socket in list(self.sockets):
            if lose:
                self.sockets[socket] += 1
                continue
            updates = [self._level(side, price, self.quantity)]
            await self._send(socket, "l2_data", [{"type": "update", "product_id": PRODUCT, "updates": updates}])

    async def heartbeat(self) -> None:
        """One beat to everybody."""
        for socket in list(self.sockets):
            await self._send(socket, "heartbeats", [{"current_time": now_text(), "heartbeat_counter": 1}])

    async def trade(self, *, repeat: bool = False) -> None:
        """One public trade: the taker bought. With ``repeat`` the last one again."""
        self.trade_id += not repeat
        for socket in list(self.sockets):
            await self._send(socket, "market_trades", [{"type": "update", "trades": [self._trade()]}])

    async def disconnect(self) -> None:
        """Cut every connection."""
        for socket in list(self.sockets):
            await socket.close(code=1001, message=b"bye")

    async def _candles(self, request: web.Request) -> web.Response:
        """Newest first, as Coinbase has them."""
        assert request.query["granularity"] == "ONE_MINUTE"
        first, last = int(request.query["start"]), int(request.query["end"])
        starts = range(last - last % 60, first - 1, -60)
        prices = {"low": "99.5", "high": "101", "open": "100", "close": "100.01", "volume": "3.5"}
        return web.json_response({"candles": [{"start": str(start), **prices} for start in starts]})

    # -- account

    def _check(self, request: web.Request) -> None:
        """Refuse what is not signed for exactly this request by our key."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            head, claims, signature = token.split(".")
            header, body = json.loads(unpad(head)), json.loads(unpad(claims))
            signed, raw = f"{head}.{claims}".encode(), unpad(signature)
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                assert header["alg"] == "EdDSA"
                self.key.verify(raw, signed)
            else:
                assert header["alg"] == "ES256"
                assert self.key is not None
                assert len(raw) == 64
                pair = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
                self.key.verify(encode_dss_signature(*pair), signed, ec.ECDSA(hashes.SHA256()))
            assert header["kid"] == body["sub"] == self.key_name
            assert body["nbf"] - 5 <= time.time() <= body["exp"] <= time.time() + 125
            assert body["uri"] == f"{request.method} api.coinbase.com{request.path}"
            assert header["nonce"] not in self.nonces
            self.nonces.add(header["nonce"])
        except Exception as error:
            raise web.HTTPUnauthorized(text=f"Unauthorized {type(error).__name__}") from error

    async def _time(self, request: web.Request) -> web.Response:
        return web.json_response({"iso": now_text(), "epochMillis": str(time.time_ns() // 1_000_000)})

    async def _products(self, request: web.Request) -> web.Response:
        return web.json_response({"products": [LISTED]})

    async def _product_book(self, request: web.Request) -> web.Response:
        assert request.query["product_id"] == PRODUCT
        bids, asks = ([{"price": price, "size": "2"}] for price in ("99.00", "99.02"))
        return web.json_response({"pricebook": {"product_id": PRODUCT, "bids": bids, "asks": asks, "time": now_text()}})

    async def _ticker(self, request: web.Request) -> web.Response:
        return web.json_response({"trades": [self._trade()], "best_bid": "99.00", "best_ask": "99.02"})

    async def _fees(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.json_response({"fee_tier": {"maker_fee_rate": "0.004", "taker_fee_rate": "0.006"}})

    async def _accounts(self, request: web.Request) -> web.Response:
        self._check(request)
        totals = self.totals()
        rows = [("BTC", str(totals["BTC"] - Decimal("0.25")), "0.25"), ("USD", str(totals["USD"]), "0")]
        accounts = [
            {
                "currency": name,
                "available_balance": {"value": free, "currency": name},
                "hold": {"value": held, "currency": name},
            }
            for name, free, held in rows
        ]
        return web.json_response({"accounts": accounts, "has_next": False, "cursor": ""})

    def totals(self) -> dict[str, Decimal]:
        """What the account holds after all fills."""
        held = {"BTC": Decimal("1.75"), "USD": Decimal("1000.5")}
        for fill in self.fills:
            sign = 1 if fill["side"] == "BUY" else -1
            held["BTC"] += sign * Decimal(fill["size"])
            held["USD"] -= sign * Decimal(fill["size"]) * Decimal(fill["price"]) + Decimal(fill["commission"])
        return held

    async def _order(self, request: web.Request) -> web.Response:
        self._check(request)
        body = await request.json()
        self.posted.append(body)
        if self.answers:
            status, answer, headers = self.answers.pop(0)
            if not status:
                assert request.transport is not None
                request.transport.abort()
            return web.json_response(answer, status=status or 500, headers=headers)
        client_id = body["client_order_id"]
        known = next((one for one in self.orders.values() if one["client_order_id"] == client_id), None)
        if known is None:
            known = self._book_order(body)
        if self.fail_after_accepting:
            self.fail_after_accepting = False
            return web.json_response({"error": "INTERNAL"}, status=500)
        answer = {
            "order_id": known["order_id"],
            "product_id": PRODUCT,
            "side": known["side"],
            "client_order_id": client_id,
        }
        return web.json_response({"success": True, "success_response": answer, "order_configuration": {}})

    def _book_order(self, body: dict[str, Any]) -> dict[str, Any]:
        number = len(self.orders) + 1
        ((kind, terms),) = body["order_configuration"].items()
        order = {
            "order_id": f"order-{number}",
            "client_order_id": body["client_order_id"],
            "product_id": body["product_id"],
            "side": body["side"],
            "status": "OPEN",
            "order_configuration": {kind: terms},
            "filled_size": "0",
            "created_time": now_text(),
        }
        self.orders[order["order_id"]] = order
        if kind == "market_market_ioc":
            price = "100.02" if body["side"] == "BUY" else "100.00"
            self.fill(order["order_id"], terms["base_size"], price)
        return order

    def fill(self, order_id: str, size: str, price: str = "100.02") -> None:
        """Fill part of an order."""
        order = self.orders[order_id]
        filled = Decimal(order["filled_size"]) + Decimal(size)
        order["filled_size"] = str(filled)
        ((_, terms),) = order["order_configuration"].items()
        if filled == Decimal(terms["base_size"]):
            order["status"] = "FILLED"
        self.fills.append(
            {
                "entry_id": f"entry-{len(self.fills)}",
                "trade_id": f"trade-{len(self.fills)}",
                "order_id": order_id,
                "product_id": PRODUCT,
                "trade_time": now_text(),
                "price": price,
                "size": size,
                # Finer than a hundred-millionth, as Coinbase counts.
                "commission": str(Decimal(size) * Decimal(price) * Decimal("0.006")),
                "liquidity_indicator": "TAKER",
                "side": order["side"],
                "size_in_quote": False,
            }
        )

    async def _cancel(self, request: web.Request) -> web.Response:
        self._check(request)
        results = []
        for order_id in (await request.json())["order_ids"]:
            order = self.orders.get(order_id)
            done = order is not None and order["status"] == "OPEN"
            if order is not None and done:
                order["status"] = "CANCELLED"
            reason = "UNKNOWN_CANCEL_FAILURE_REASON" if done else "UNKNOWN_CANCEL_ORDER"
            results.append({"success": done, "failure_reason": reason, "order_id": order_id})
        return web.json_response({"results": results})

    async def _list(self, request: web.Request) -> web.Response:
        self._check(request)
        wanted = request.query.getall("order_status", [])
        found = [one for one in self.orders.values() if not wanted or one["status"] in wanted]
        return web.json_response({"orders": found, "has_next": False, "cursor": ""})

    async def _one(self, request: web.Request) -> web.Response:
        self._check(request)
        order = self.orders.get(request.match_info["order_id"])
        if order is None:
            return web.json_response({"error": "NOT_FOUND", "message": "order not found"}, status=404)
        return web.json_response({"order": order})

    async def _fills(self, request: web.Request) -> web.Response:
        self._check(request)
        since = request.query.get("start_sequence_timestamp", "")
        found = [one for one in reversed(self.fills) if one["trade_time"] >= since[:26]]
        start = int(request.query.get("cursor") or 0)
        page = found[start : start + 2]
        more = start + 2 < len(found)
        return web.json_response({"fills": page, "cursor": str(start + 2) if more else ""})
