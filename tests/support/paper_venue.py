"""A paper venue inside the test's own event loop, and signed requests to it."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from workers.live.paper_venue.config import MarketKind, VenueConfig
from workers.live.paper_venue.rest import STAGE_KEY
from workers.live.paper_venue.server import application
from workers.live.paper_venue.stage import Stage
from workers.live.paper_venue.venue import Venue

KEY, SECRET, TOKEN = "test-key", "test-secret", "test-token"
QUICK: dict[str, Any] = {
    "port": 0,
    "market": MarketKind.SYNTHETIC,
    "preroll_s": 5.0,
    "events_per_second": 200.0,
    "session_s": 3600.0,
    "break_s": 0.3,
    "latency_ms": 0.0,
    "latency_median_ms": 0.0,
    "api_key": KEY,
    "api_secret": SECRET,
    "fault_token": TOKEN,
}


class Running:
    """A venue that serves, its address, and a client."""

    def __init__(self, stage: Stage | None, url: str, http: aiohttp.ClientSession, name: str = "") -> None:
        self._stage = stage
        self._name = name
        self.url = url
        self.http = http

    @property
    def venue(self) -> Venue:
        """The venue itself, when it runs in this process."""
        assert self._stage is not None
        return self._stage.others[self._name] if self._name else self._stage.home

    def at(self, name: str) -> Running:
        """The venue called ``name`` of the same process."""
        return Running(self._stage, f"{self.url}/venues/{name}", self.http, name)

    async def call(self, method: str, path: str, *, signed: bool = True, **params: Any) -> tuple[int, Any]:
        """One request as Binance wants it; answers status and body."""
        values = {name: str(value) for name, value in params.items()}
        headers = {}
        if signed:
            values.setdefault("timestamp", str(time.time_ns() // 1_000_000))
            query = urlencode(values)
            values["signature"] = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
            headers["X-MBX-APIKEY"] = KEY
        url = f"{self.url}/api/v3/{path}?{urlencode(values)}"
        async with self.http.request(method, url, headers=headers) as response:
            return response.status, await response.json()

    async def order(self, **params: Any) -> tuple[int, Any]:
        """Place an order; a limit order in BTCUSDT far below the market unless said otherwise."""
        defaults: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.01"}
        if params.get("type", "LIMIT") == "LIMIT":
            defaults |= {"timeInForce": "GTC", "price": "30000"}
        return await self.call("POST", "order", **(defaults | params))

    async def fault(self, **fields: Any) -> Any:
        """Make the venue misbehave."""
        async with self.http.post(f"{self.url}/_fault", json=fields, headers={"X-Fault-Token": TOKEN}) as response:
            return await response.json()

    async def truth(self) -> Any:
        """The venue's own books."""
        async with self.http.get(f"{self.url}/_truth", headers={"X-Fault-Token": TOKEN}) as response:
            return await response.json()

    def socket(self, path: str) -> Any:
        """Connect a websocket."""
        return self.http.ws_connect(self.url + path)


@asynccontextmanager
async def running(folder: Path, **overrides: Any) -> AsyncIterator[Running]:
    """Start a venue whose books are in ``folder``, wait until it trades, and stop it."""
    runner = web.AppRunner(application(VenueConfig(state_dir=folder, **(QUICK | overrides))), shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as http:
            await ready(http, url)
            yield Running(runner.app[STAGE_KEY], url, http)
    finally:
        await runner.cleanup()


async def ready(http: aiohttp.ClientSession, url: str) -> None:
    """Wait until the venue has opened."""
    for _ in range(500):
        async with http.get(f"{url}/healthz") as response:
            if response.status == 200:
                return
            await response.read()
    raise AssertionError("the paper venue did not open")
