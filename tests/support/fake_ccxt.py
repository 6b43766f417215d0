"""An exchange object as ccxt makes them, over lists: how its venue cuts its answers can be chosen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import ccxt.async_support as ccxt

PAIR, MARKET = "BTC/USDT", "BTCUSDT"


class FakeApi:
    """One market; ``page`` rows at most in an answer, the ``oldest`` of the range or the newest."""

    def __init__(self, *, page: int = 50, oldest: bool = False, until: bool = True, listed: bool = True) -> None:
        self.has = {"fetchOrders": listed, "fetchOHLCV": False}
        self.features: dict[str, Any] = {}
        self.precisionMode = ccxt.TICK_SIZE
        self.page = page
        self.oldest = oldest
        self.until = until
        self.orders: list[dict[str, Any]] = []
        self.fills: list[dict[str, Any]] = []
        self.asked: list[int] = []
        """Since when trades were asked for."""
        self.lose = False
        """The next order's answer is lost."""
        self.anonymous = False
        """Listings do not tell client ids."""

    async def load_markets(self) -> dict[str, Any]:
        precision = {"amount": "0.00001", "price": "0.01"}
        return {
            PAIR: {"id": MARKET, "symbol": PAIR, "base": "BTC", "quote": "USDT", "spot": True, "precision": precision}
        }

    async def close(self) -> None:
        """Nothing is open."""

    def order(self, client_id: str, at: int, *, status: str = "closed") -> dict[str, Any]:
        """Put an order there."""
        filled = "0.01" if status == "closed" else "0"
        made = {
            "id": f"o{len(self.orders)}",
            "clientOrderId": client_id,
            "timestamp": at,
            "lastTradeTimestamp": at + 1,
            "symbol": PAIR,
            "side": "buy",
            "status": status,
            "amount": "0.01",
            "filled": filled,
        }
        self.orders.append(made)
        return made

    def fill(self, order_id: str, at: int) -> None:
        """Put a trade there."""
        self.fills.append(
            {
                "id": str(len(self.fills) + 1),
                "order": order_id,
                "timestamp": at,
                "symbol": PAIR,
                "side": "buy",
                "amount": "0.001",
                "price": "100.00",
                "fee": {"cost": "0.01", "currency": "USDT"},
            }
        )

    async def create_order(self, _pair: str, _kind: str, _side: str, _amount: str, _price: Any, params: Any) -> Any:
        """Filled at once."""
        now = time.time_ns() // 1_000_000
        made = self.order(params["clientOrderId"], now)
        self.fill(made["id"], now)
        if self.lose:
            self.lose = False
            raise ccxt.RequestTimeout("the answer was lost")
        return made

    async def fetch_order(self, order_id: str, _pair: str) -> dict[str, Any]:
        for one in self.orders:
            if one["id"] == order_id:
                return one
        raise ccxt.OrderNotFound(order_id)

    async def fetch_orders(self, _pair: str, since: int, _limit: int, params: Any = None) -> list[dict[str, Any]]:
        return [
            {**one, "clientOrderId": None} if self.anonymous else one for one in self._cut(self.orders, since, params)
        ]

    async def fetch_open_orders(self, _pair: str, _since: Any = None, _limit: Any = None) -> list[dict[str, Any]]:
        return [one for one in self.orders if one["status"] == "open"][: self.page]

    async def fetch_my_trades(self, _pair: str, since: int, _limit: int, params: Any = None) -> list[dict[str, Any]]:
        self.asked.append(since)
        return self._cut(self.fills, since, params)

    def _cut(self, rows: Sequence[dict[str, Any]], since: int, params: Any) -> list[dict[str, Any]]:
        end = (params or {}).get("until") if self.until else None
        found = [one for one in rows if since <= one["timestamp"] <= (end or one["timestamp"])]
        found.sort(key=lambda one: one["timestamp"])
        return found[: self.page] if self.oldest else found[-self.page :]
