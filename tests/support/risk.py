"""A venue's public endpoints for risk reports, made of seeded walks, and the inputs of a report without any venue."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx
import numpy as np

from workers.engine.risk.exposure import Holding
from workers.engine.risk.report import Inputs
from workers.engine.risk.stress import Depth, Prices

MINUTE_NS = 60_000_000_000
NOW = 1_767_600_000_000_000_000


def walk(count: int, *, start: float, sigma: float, seed: int) -> list[float]:
    """Prices of a random walk."""
    steps = np.random.default_rng(seed).normal(0.0, sigma, count - 1)
    return [round(float(price), 2) for price in start * np.exp(np.concatenate(([0.0], np.cumsum(steps))))]


def history(count: int = 300, *, end: int = NOW) -> dict[str, Prices]:
    """One-minute closes of BTCUSDT and ETHUSDT."""
    times = [end - MINUTE_NS * (count - 1 - i) for i in range(count)]
    walks = (("BTCUSDT", 50_000.0, 1), ("ETHUSDT", 3_000.0, 2))
    return {name: Prices(times=times, closes=walk(count, start=start, sigma=1e-3, seed=n)) for name, start, n in walks}


def book(middle: float) -> Depth:
    """Five levels a basis point apart, ten units each."""
    return Depth(
        bids=[(middle * (1 - level / 1e4), 10.0) for level in range(1, 6)],
        asks=[(middle * (1 + level / 1e4), 10.0) for level in range(1, 6)],
    )


def holding(symbol: str, quantity: str, mark: str) -> Holding:
    base = symbol.removesuffix("USDT")
    return Holding(
        symbol=symbol, venue="paper", base=base, quote="USDT", quantity=Decimal(quantity), mark=Decimal(mark)
    )


def inputs(*, btc: str = "1", eth: str = "-5", at: int = NOW, count: int = 300) -> Inputs:
    """A book of two holdings with 300 minutes of history."""
    return Inputs(
        at=at,
        venue="paper",
        quote="USDT",
        holdings=(holding("BTCUSDT", btc, "50000"), holding("ETHUSDT", eth, "3000")),
        cash={"USDT": Decimal(10_000)},
        interval_ns=MINUTE_NS,
        history=history(count, end=at),
        books={"BTCUSDT": book(50_000), "ETHUSDT": book(3_000)},
    )


class FakeMarket:
    """Answers klines and depth; ``missing`` endpoints answer 503, ``bars`` says how many there are per interval."""

    def __init__(self, bars: Mapping[str, int], *, end_ms: int = NOW // 1_000_000) -> None:
        self.bars = dict(bars)
        self.end_ms = end_ms
        self.missing: set[str] = set()
        self.asked: list[str] = []

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, query = request.url.path.rsplit("/", 1)[-1], request.url.params
        self.asked.append(path)
        if path in self.missing:
            return httpx.Response(503)
        middle = 50_000.0 if query["symbol"].startswith("BTC") else 3_000.0
        if path == "depth":
            made = book(middle)
            sides = {"bids": made.bids, "asks": made.asks}
            return httpx.Response(200, json={name: [[str(p), str(q)] for p, q in side] for name, side in sides.items()})
        return httpx.Response(200, json=self._klines(query, middle))

    def _klines(self, query: Any, middle: float) -> list[list[Any]]:
        if "startTime" in query:
            return []
        step = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[query["interval"][-1]]
        step *= int(query["interval"][:-1])
        count = self.bars.get(query["interval"], 0)
        closes = walk(max(count, 2), start=middle, sigma=1e-3, seed=len(query["symbol"]) + int(middle))[:count]
        first = self.end_ms // step * step - (count - 1) * step
        return [[first + i * step, "0", "0", "0", str(close)] for i, close in enumerate(closes)]
