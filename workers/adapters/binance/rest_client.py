"""Depth snapshots over Binance spot's public REST interface. Honours request weights, 429 and 418."""

from __future__ import annotations

from workers.adapters.rest_reader import LOOPBACK_HOSTS, RestError, RestReader

__all__ = ["LOOPBACK_HOSTS", "MarketRest", "RestError", "depth_weight"]


class MarketRest(RestReader):
    """Public endpoints under one base URL, such as ``https://api.binance.us``; use as an async context manager."""

    async def depth(self, symbol: str, limit: int = 1000) -> bytes:
        """Depth snapshot as raw JSON. Raises RestError."""
        return await self.get("/api/v3/depth", {"symbol": symbol, "limit": str(limit)}, depth_weight(limit))


def depth_weight(limit: int) -> int:
    """Request weight of a depth snapshot with ``limit`` levels a side (Binance spot API, order book endpoint)."""
    for levels, weight in ((100, 5), (500, 25), (1000, 50)):
        if limit <= levels:
            return weight
    return 250
