"""Depth snapshots over Binance spot's public REST interface. Honours request weights, 429 and 418."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

import httpx
import structlog

from workers.adapters.binance.limits import WeightBudget

log = structlog.get_logger(__name__)

TOO_MANY: Final = 429
BANNED: Final = 418
DEFAULT_RETRY_AFTER_S: Final = {TOO_MANY: 10.0, BANNED: 120.0}
MAX_REFUSALS: Final = 5
LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class RestError(RuntimeError):
    """The venue did not answer the request; ``status`` is 0 when it could not be reached."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status or 'no answer'}: {detail}")
        self.status = status


class MarketRest:
    """Public endpoints under one base URL, such as ``https://api.binance.us``; use as an async context manager."""

    def __init__(self, base_url: str, *, weight_limit: int = 1000, timeout_s: float = 10.0) -> None:
        self.budget = WeightBudget(weight_limit)
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/"),
            timeout=timeout_s,
            # A proxy of the environment is for the outside; the paper venue is on this machine.
            trust_env=httpx.URL(base_url).host not in LOOPBACK_HOSTS,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def depth(self, symbol: str, limit: int = 1000) -> bytes:
        """Depth snapshot as raw JSON. Raises RestError."""
        return await self._get("/api/v3/depth", {"symbol": symbol, "limit": str(limit)}, depth_weight(limit))

    async def _get(self, path: str, params: dict[str, str], weight: int) -> bytes:
        for _ in range(MAX_REFUSALS):
            await self._wait_for(weight)
            try:
                response = await self._http.get(path, params=params)
            except httpx.HTTPError as exc:
                raise RestError(0, f"GET {path}: {type(exc).__name__} {exc}") from exc
            self._observe(response)
            if response.status_code not in DEFAULT_RETRY_AFTER_S:
                break
        if response.status_code != httpx.codes.OK:
            raise RestError(response.status_code, f"GET {path}: {response.text[:200]}")
        return response.content

    async def _wait_for(self, weight: int) -> None:
        loop = asyncio.get_running_loop()
        delay = self.budget.delay(weight, loop.time())
        while delay > 0.0:
            await asyncio.sleep(delay)
            delay = self.budget.delay(weight, loop.time())
        self.budget.spend(weight, loop.time())

    def _observe(self, response: httpx.Response) -> None:
        used = response.headers.get("x-mbx-used-weight-1m", "")
        if used.isdigit():
            self.budget.observe(int(used))
        default = DEFAULT_RETRY_AFTER_S.get(response.status_code)
        if default is not None:
            asked = response.headers.get("retry-after", "")
            seconds = float(asked) if asked.isdigit() else default
            log.warning("venue limits requests", status=response.status_code, retry_after_s=seconds)
            self.budget.block(seconds, asyncio.get_running_loop().time())


def depth_weight(limit: int) -> int:
    """Request weight of a depth snapshot with ``limit`` levels a side (Binance spot API, order book endpoint)."""
    for levels, weight in ((100, 5), (500, 25), (1000, 50)):
        if limit <= levels:
            return weight
    return 250
