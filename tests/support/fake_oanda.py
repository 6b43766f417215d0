"""A fake of OANDA v20 on loopback: REST and pricing stream of one practice account, scripted by the test."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

TOKEN, ACCOUNT = "token-1", "101-001-1-001"
BASE = f"/v3/accounts/{ACCOUNT}"
EUR_USD = {
    "name": "EUR_USD",
    "type": "CURRENCY",
    "displayPrecision": 5,
    "pipLocation": -4,
    "tradeUnitsPrecision": 0,
    "minimumTradeSize": "1",
    "maximumOrderUnits": "100000000",
}


def now_text() -> str:
    """RFC 3339 with nine decimals, as OANDA writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


class FakeOanda:
    """One account; every order fills at 1.10000 unless it is a limit, which waits."""

    def __init__(self) -> None:
        self.transactions: list[dict[str, Any]] = []
        self.orders: dict[str, dict[str, Any]] = {}
        self.posted: list[dict[str, Any]] = []
        self.answers: list[tuple[int, dict[str, Any]]] = []
        self.lines: list[asyncio.Queue[dict[str, Any] | None]] = []
        self.connects = 0
        self.balance = Decimal("1000.1234")
        self.trades: dict[str, dict[str, Any]] = {}
        self.fill_price = "1.10000"
        self.fail_after_accepting = False
        self.forgets_ids = False
        """Orders that are over are not found by our id any more."""
        self.down = False
        self.refuse_streams = False
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        assert self._runner is not None
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FakeOanda]:
        """Serve on a free port."""
        app = web.Application(middlewares=[self._signed])
        app.add_routes(
            [
                web.get(BASE, self._account),
                web.get(f"{BASE}/trades/{{number}}", self._trade),
                web.get(f"{BASE}/orders", self._all_orders),
                web.get(f"{BASE}/pricing", self._pricing),
                web.get(f"{BASE}/instruments", self._instruments),
                web.get(f"{BASE}/summary", self._summary),
                web.get(f"{BASE}/openPositions", self._positions),
                web.get(f"{BASE}/pendingOrders", self._pending),
                web.post(f"{BASE}/orders", self._order),
                web.get(f"{BASE}/orders/{{name}}", self._one),
                web.put(f"{BASE}/orders/{{name}}/cancel", self._cancel),
                web.get(f"{BASE}/transactions/sinceid", self._since),
                web.get(f"{BASE}/pricing/stream", self._stream),
                web.get("/v3/instruments/EUR_USD/candles", self._candles),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        try:
            yield self
        finally:
            for line in self.lines:
                line.put_nowait(None)
            await self._runner.cleanup()

    @web.middleware
    async def _signed(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"errorMessage": "Insufficient authorization"}, status=401)
        if self.down:
            return web.json_response({"errorMessage": "unavailable"}, status=503)
        answer: web.StreamResponse = await handler(request)
        return answer

    # -- prices

    async def pulse(self, every_s: float = 0.1) -> None:
        """A market that lives, until cancelled."""
        while True:
            for bid in ("1.09995", "1.09996"):
                self.price(bid, "1.10005")
                await asyncio.sleep(every_s)

    async def _pricing(self, request: web.Request) -> web.Response:
        sides = {"bids": [{"price": "1.09990", "liquidity": 1}], "asks": [{"price": "1.10010", "liquidity": 1}]}
        price = {"type": "PRICE", "time": now_text(), "instrument": "EUR_USD", "tradeable": True, **sides}
        return web.json_response({"prices": [price]})

    def say(self, message: dict[str, Any] | None) -> None:
        """One line to every listener; None ends their streams."""
        for line in self.lines:
            line.put_nowait(message)

    def price(self, bid: str, ask: str, *, tradeable: bool = True) -> None:
        """A new price."""
        sides = {"bids": [{"price": bid, "liquidity": 1_000_000}], "asks": [{"price": ask, "liquidity": 2_000_000}]}
        head = {"type": "PRICE", "time": now_text(), "instrument": "EUR_USD", "tradeable": tradeable}
        self.say({**head, **sides})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        assert request.query["instruments"] == "EUR_USD"
        if self.refuse_streams:
            return web.Response(status=503)
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await response.prepare(request)
        line: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.connects += 1
        self.lines.append(line)
        try:
            while (message := await line.get()) is not None:
                await response.write(json.dumps(message).encode() + b"\n")
        finally:
            self.lines.remove(line)
        return response

    async def _candles(self, request: web.Request) -> web.Response:
        start = datetime.fromisoformat(request.query["from"][:19]).replace(tzinfo=UTC).timestamp()
        end = datetime.fromisoformat(request.query["to"][:19]).replace(tzinfo=UTC).timestamp()
        candles = []
        step = {"S5": 5, "M1": 60, "H1": 3600}[request.query["granularity"]]
        for at in range(int(start), int(end), step):
            mid = {"o": "1.10005", "h": "1.10105", "l": "1.09905", "c": "1.100015"}
            moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
            candles.append({"time": moment, "complete": at < end - step or step == 5, "volume": 12, "mid": mid})
        return web.json_response({"instrument": "EUR_USD", "granularity": "H1", "candles": candles})

    # -- account

    async def _instruments(self, request: web.Request) -> web.Response:
        return web.json_response({"instruments": [EUR_USD], "lastTransactionID": "1"})

    async def _summary(self, request: web.Request) -> web.Response:
        account = {"currency": "USD", "balance": str(self.balance), "lastTransactionID": self._last()}
        return web.json_response({"account": account})

    async def _account(self, request: web.Request) -> web.Response:
        open_trades = [one for one in self.trades.values() if Decimal(one["currentUnits"])]
        account = {"currency": "USD", "balance": str(self.balance), "lastTransactionID": self._last()}
        return web.json_response({"account": {**account, "trades": open_trades}})

    async def _trade(self, request: web.Request) -> web.Response:
        return web.json_response({"trade": self.trades[request.match_info["number"]]})

    async def _all_orders(self, request: web.Request) -> web.Response:
        assert request.query["state"] == "ALL"
        return web.json_response({"orders": list(self.orders.values())[::-1]})

    def finance(self, amount: str) -> None:
        """A day's financing of the position."""
        self.balance += Decimal(amount)
        financed = [{"instrument": "EUR_USD", "financing": amount}]
        self._record("DAILY_FINANCING", financing=amount, positionFinancings=financed)

    def _last(self) -> str:
        return str(self.transactions[-1]["id"]) if self.transactions else "1"

    async def _positions(self, request: web.Request) -> web.Response:
        fills = [Decimal(one["units"]) for one in self.transactions if one["type"] == "ORDER_FILL"]
        long, short = (sum((u for u in fills if (u > 0) is side), Decimal(0)) for side in (True, False))
        position = {"instrument": "EUR_USD", "long": {"units": str(long)}, "short": {"units": str(short)}}
        return web.json_response({"positions": [position]})

    def _record(self, kind: str, **fields: Any) -> dict[str, Any]:
        one = {"id": str(len(self.transactions) + 2), "type": kind, "time": now_text(), **fields}
        self.transactions.append(one)
        return one

    async def _order(self, request: web.Request) -> web.Response:
        asked = (await request.json())["order"]
        self.posted.append(asked)
        if self.answers:
            status, body = self.answers.pop(0)
            return web.json_response(body, status=status)
        client_id = asked["clientExtensions"]["id"]
        if any(
            one["clientExtensions"]["id"] == client_id and one["state"] == "PENDING" for one in self.orders.values()
        ):
            rejected = {"rejectReason": "CLIENT_ORDER_ID_ALREADY_EXISTS"}
            body = {"errorCode": "X", "errorMessage": "exists", "orderRejectTransaction": rejected}
            return web.json_response(body, status=400)
        created = self._record(f"{asked['type']}_ORDER", instrument="EUR_USD", units=asked["units"])
        order = {"id": created["id"], "state": "PENDING", **asked}
        self.orders[created["id"]] = order
        answer: dict[str, Any] = {"orderCreateTransaction": created}
        if asked["type"] == "MARKET":
            if Decimal(asked.get("priceBound", "9")) < Decimal("1.1"):
                order["state"] = "CANCELLED"
                answer["orderCancelTransaction"] = self._record(
                    "ORDER_CANCEL", orderID=order["id"], reason="BOUNDS_VIOLATION"
                )
            else:
                answer["orderFillTransaction"] = self.fill(order["id"])
        if self.fail_after_accepting:
            self.fail_after_accepting = False
            return web.json_response({}, status=502)
        return web.json_response({**answer, "lastTransactionID": self._last()}, status=201)

    def fill(self, order_id: str) -> dict[str, Any]:
        """Fill an order whole."""
        order = self.orders[order_id]
        order["state"] = "FILLED"
        fill = self._record(
            "ORDER_FILL",
            orderID=order_id,
            instrument="EUR_USD",
            units=order["units"],
            price=self.fill_price,
            commission="0.0500",
        )
        fill |= self._net(fill)
        self.balance += Decimal(fill["pl"]) - Decimal("0.05")
        return fill

    def _net(self, fill: dict[str, Any]) -> dict[str, Any]:
        """Close the oldest trades of the other side first, and open one with what is left."""
        left, price, closed, profit = Decimal(fill["units"]), Decimal(fill["price"]), [], Decimal(0)
        for number, trade in self.trades.items():
            held = Decimal(trade["currentUnits"])
            if held * left < 0:
                units = min(abs(held), abs(left)) * (1 if left > 0 else -1)
                trade["currentUnits"] = str(held + units)
                profit -= units * (price - Decimal(trade["price"]))
                closed.append({"tradeID": number, "units": str(units), "price": str(price)})
                left -= units
        told: dict[str, Any] = {"tradesClosed": closed, "pl": str(profit.quantize(Decimal("1E-4")))}
        if left:
            opened = {"id": fill["id"], "instrument": "EUR_USD", "price": str(price), "currentUnits": str(left)}
            self.trades[fill["id"]] = opened
            told["tradeOpened"] = {"tradeID": fill["id"], "units": str(left), "price": str(price)}
        return told

    def _named(self, request: web.Request) -> dict[str, Any] | None:
        name = request.match_info["name"]
        if not name.startswith("@"):
            return self.orders.get(name)
        alive = [one for one in self.orders.values() if one["state"] == "PENDING" or not self.forgets_ids]
        found = [one for one in alive if one["clientExtensions"]["id"] == name[1:]]
        return found[-1] if found else None

    async def _one(self, request: web.Request) -> web.Response:
        order = self._named(request)
        if order is None:
            return web.json_response({"errorCode": "NO_SUCH_ORDER", "errorMessage": "no"}, status=404)
        return web.json_response({"order": order, "lastTransactionID": self._last()})

    async def _pending(self, request: web.Request) -> web.Response:
        return web.json_response({"orders": [one for one in self.orders.values() if one["state"] == "PENDING"]})

    async def _cancel(self, request: web.Request) -> web.Response:
        order = self._named(request)
        if order is None or order["state"] != "PENDING":
            body = {"errorCode": "ORDER_DOESNT_EXIST", "errorMessage": "no", "orderCancelRejectTransaction": {}}
            return web.json_response(body, status=404)
        order["state"] = "CANCELLED"
        return web.json_response({"orderCancelTransaction": self._record("ORDER_CANCEL", orderID=order["id"])})

    async def _since(self, request: web.Request) -> web.Response:
        """Three at a time, so that a second page is needed."""
        after = int(request.query["id"])
        page = [one for one in self.transactions if int(one["id"]) > after][:3]
        return web.json_response({"transactions": page, "lastTransactionID": self._last()})
