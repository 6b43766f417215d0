"""The account's own websocket: execution reports as engine events, reconnected for ever.

A stream that was away has missed reports. So every (re)connect is announced, and whoever listens must reconcile with
the venue before trusting the books again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from workers.adapters.binance.limits import Backoff
from workers.adapters.binance.reports import execution_reports
from workers.adapters.venue import VenueError
from workers.engine.events import JournalEvent
from workers.engine.instruments import Instrument

KEEP_ALIVE_S: Final = 20 * 60
PING_S: Final = 5
OPEN_TIMEOUT_S: Final = 5
ENDING: Final = frozenset({"listenKeyExpired", "eventStreamTerminated"})

log = structlog.get_logger(__name__)


class ListenKeys(Protocol):
    """Where listen keys come from; the order adapter is one."""

    instruments: dict[str, Instrument]

    async def create_listen_key(self) -> str: ...
    async def keep_listen_key(self, key: str) -> None: ...


class UserStream:
    """Follows the account. ``on_reports`` gets the events of one frame; ``on_state`` hears of every connect and cut."""

    def __init__(
        self,
        *,
        keys: ListenKeys,
        ws_url: str,
        on_reports: Callable[[Sequence[JournalEvent]], None],
        on_state: Callable[[bool, str], None],
        clock: Callable[[], int],
        backoff: Backoff,
    ) -> None:
        self._keys = keys
        self._ws_url = ws_url.rstrip("/")
        self._on_reports = on_reports
        self._on_state = on_state
        self._clock = clock
        self._backoff = backoff
        self._socket: ClientConnection | None = None
        self.connected = False

    def restart(self) -> None:
        """Cut the connection and make a new one: what lies in its buffers is older than we can use."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def run(self) -> None:
        """Connect, follow, and connect again, until cancelled."""
        while True:
            try:
                await self._follow_once()
                detail = "the venue ended the stream"
            except (OSError, TimeoutError, WebSocketException, VenueError) as error:
                detail = f"{type(error).__name__}: {error}"
            if self.connected:
                self.connected = False
                self._on_state(False, detail)
            self._socket = None
            delay = self._backoff.next_delay()
            log.warning("user stream away", detail=detail, retry_in_s=round(delay, 2))
            await asyncio.sleep(delay)

    async def _follow_once(self) -> None:
        key = await self._keys.create_listen_key()
        url = f"{self._ws_url}/ws/{key}"
        async with connect(
            url, ping_interval=PING_S, ping_timeout=PING_S, open_timeout=OPEN_TIMEOUT_S, compression=None, proxy=None
        ) as socket:
            self._socket = socket
            self.connected = True
            self._on_state(True, "connected")
            async with self._kept_alive(key):
                await self._read(socket)

    async def _read(self, socket: ClientConnection) -> None:
        async for frame in socket:
            payload = msgspec.json.decode(frame)
            payload = payload.get("data", payload)
            kind = payload.get("e")
            if kind in ENDING:
                return
            if kind == "executionReport":
                self._report(payload)
            self._backoff.reset()

    def _report(self, payload: dict[str, Any]) -> None:
        instrument = self._keys.instruments.get(payload["s"])
        if instrument is not None:
            self._on_reports(list(execution_reports(payload, instrument, self._clock())))

    @contextlib.asynccontextmanager
    async def _kept_alive(self, key: str) -> AsyncIterator[None]:
        """Renew the listen key while the stream is followed; a key that cannot be renewed ends it by its silence."""
        task = asyncio.create_task(self._keep_alive(key))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep_alive(self, key: str) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            try:
                await self._keys.keep_listen_key(key)
            except VenueError as error:
                log.warning("listen key not renewed", error=str(error))
