"""Public REST endpoints of any venue: paced by a request budget, obedient to 429, 418 and Retry-After."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Self

import httpx
import structlog

from workers.adapters.binance.limits import WINDOW_S, WeightBudget

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


class RestReader:
    """Public endpoints under one base URL, such as ``https://api.binance.us``; use as an async context manager.

    ``weight_limit`` units of the venue's own measure may be spent per ``window_s``; where a venue counts requests, each
    is one unit. ``headers`` go with every request. Readers of one venue may share one ``budget``, and with it what the
    venue says of it.
    """

    def __init__(
        self,
        base_url: str,
        *,
        weight_limit: int = 1000,
        window_s: float = WINDOW_S,
        timeout_s: float = 10.0,
        headers: dict[str, str] | None = None,
        budget: WeightBudget | None = None,
    ) -> None:
        self.budget = budget or WeightBudget(weight_limit, window_s)
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/"),
            timeout=timeout_s,
            headers=headers,
            # A proxy of the environment is for the outside; the paper venue is on this machine.
            trust_env=httpx.URL(base_url).host not in LOOPBACK_HOSTS,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, path: str, params: dict[str, str], weight: int = 1) -> bytes:
        """The body of an answer of 200. Raises RestError; a refusal for haste is waited out ``MAX_REFUSALS`` times."""
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
