"""What order adapters over plain HTTP share: requests, what a failure means, and the events of a submission.

An order request that left and got no answer, a 5xx, or an answer that cannot be read is **unknown**. A connection that
was never made, and a refusal for haste, have done nothing.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx
import msgspec

from workers.adapters.rest_reader import LOOPBACK_HOSTS
from workers.adapters.venue import (
    OnLeft,
    OrderNotFound,
    VenueBusy,
    VenueError,
    VenueRejected,
    VenueUnknown,
    VenueUnreachable,
)
from workers.engine.events import JournalEvent, OrderIntended, OrderNotSent, OrderRejected, OrderUnknown
from workers.engine.instruments import GridError, Instrument
from workers.engine.market.venues import VenueRules

NEVER_LEFT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
MIN_LEFT_NS: Final = 50_000_000
SECOND_NS: Final = 1_000_000_000


class HttpVenue(ABC):
    """One account at one venue, over one connection pool. All methods belong to the event loop that called ``open``."""

    def __init__(
        self, *, name: str, url: str, rules: VenueRules, clock: Callable[[], int], timeout_s: float = 3.0
    ) -> None:
        """``clock`` gives ns since 1970."""
        self.name = name
        self.instruments: dict[str, Instrument] = {}
        self._url = url.rstrip("/")
        self._rules = rules
        self._clock = clock
        self._timeout_s = timeout_s
        self._quiet_until = 0.0

    @property
    def rules(self) -> VenueRules:
        """What the venue can do, and by which rules."""
        return self._rules

    async def open(self) -> None:
        """Make the connection pool; nothing is sent yet."""
        self._http = httpx.AsyncClient(
            base_url=self._url,
            timeout=self._timeout_s,
            limits=httpx.Limits(max_connections=32, keepalive_expiry=60),
            trust_env=httpx.URL(self._url).host not in LOOPBACK_HOSTS,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @abstractmethod
    def _headers(self, method: str, path: str, deadline: int) -> dict[str, str]:
        """What authorises one request; ``deadline`` in ns where it has one, else 0."""

    @abstractmethod
    def _refusal(self, status: int, body: dict[str, Any]) -> VenueError:
        """What an answer of 400 to 499 with a JSON body means."""

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: object = None,
        deadline: int = 0,
        left: Callable[[], None] | None = None,
    ) -> bytes:
        """The body of a successful answer. Raises VenueError."""
        headers = self._headers(method, path, deadline)
        content = None
        if body is not None:
            content, headers["Content-Type"] = msgspec.json.encode(body), "application/json"
        # What is connected too late must not leave: until then there is no more time than the deadline gives.
        begin_s = max((deadline - self._clock()) / SECOND_NS, 0.001) if deadline else self._timeout_s
        try:
            response = await self._http.request(
                method,
                path,
                params=params,
                content=content,
                headers=headers,
                timeout=httpx.Timeout(self._timeout_s, connect=begin_s, pool=begin_s),
                extensions={"trace": _Leaving(left)} if left is not None else None,
            )
        except NEVER_LEFT as error:
            raise VenueUnreachable(f"no connection to {self.name}: {type(error).__name__} {error}") from error
        except httpx.HTTPError as error:
            raise VenueUnknown(f"{type(error).__name__}: {error}") from error
        if response.status_code < 400:
            return response.content
        raise self._meaning(response)

    def _meaning(self, response: httpx.Response) -> VenueError:
        status, text = response.status_code, response.text[:200]
        if status in (418, 429):
            asked = response.headers.get("retry-after", "")
            seconds = float(asked) if asked.isdigit() else self._rules.rate.retry_after_s
            return VenueBusy(f"HTTP {status}: {text}", seconds)
        if status in (401, 403):
            return VenueRejected(str(status), f"the venue does not accept the key: {text}")
        if status >= 500:
            return VenueUnknown(f"HTTP {status}: {text}")
        try:
            body = msgspec.json.decode(response.content, type=dict[str, Any])
        except msgspec.DecodeError:
            # Without the venue's own words the answer is of something in between, which may have passed it on.
            return VenueUnknown(f"HTTP {status}: {text}")
        return self._refusal(status, body)

    # -- orders

    async def submit(self, intent: OrderIntended, deadline: int, on_left: OnLeft) -> list[JournalEvent]:
        """Send one order and say what became of it; never raises for what a venue can do."""
        if deadline - self._clock() < MIN_LEFT_NS:
            return [self._not_sent(intent, "the send deadline had passed")]
        if time.monotonic() < self._quiet_until:
            return [self._not_sent(intent, "the venue asked for silence")]
        try:
            return await self._send(intent, deadline, lambda: on_left(intent.client_id, time.perf_counter_ns()))
        except VenueError as problem:
            return [self._failed(intent, problem)]
        except (msgspec.DecodeError, GridError, KeyError, ValueError, TypeError) as error:
            detail = f"unreadable answer: {type(error).__name__}: {error}"
            return [OrderUnknown(ts=self._clock(), client_id=intent.client_id, detail=detail)]

    @abstractmethod
    async def _send(self, intent: OrderIntended, deadline: int, left: Callable[[], None]) -> list[JournalEvent]:
        """Post one order; the events of its answer. Raises VenueError, and what reading the answer raises."""

    def _not_sent(self, intent: OrderIntended, detail: str) -> OrderNotSent:
        return OrderNotSent(ts=self._clock(), client_id=intent.client_id, detail=detail)

    def _failed(self, intent: OrderIntended, problem: VenueError) -> JournalEvent:
        now = self._clock()
        if isinstance(problem, VenueRejected):
            return OrderRejected(ts=now, client_id=intent.client_id, code=problem.code, message=problem.message)
        if isinstance(problem, VenueBusy):
            self._quiet_until = time.monotonic() + problem.retry_after
            return OrderRejected(ts=now, client_id=intent.client_id, code="VENUE_BUSY", message=str(problem))
        if isinstance(problem, VenueUnreachable):
            return self._not_sent(intent, str(problem))
        if isinstance(problem, OrderNotFound):
            return OrderRejected(ts=now, client_id=intent.client_id, code="NOT_FOUND", message=str(problem))
        return OrderUnknown(ts=now, client_id=intent.client_id, detail=str(problem))


class _Leaving:
    """httpx's trace hook: tells once when the request's body is on its way."""

    def __init__(self, left: Callable[[], None]) -> None:
        self._left: Callable[[], None] | None = left

    async def __call__(self, event: str, info: object) -> None:  # noqa: ARG002 - httpx's signature
        """Called for every step of a request."""
        if event.endswith("send_request_body.complete") and self._left is not None:
            left, self._left = self._left, None
            left()
