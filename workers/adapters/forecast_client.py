"""Asks the GPU worker for forecasts and brings its answers back, without the trading loop ever waiting.

A request goes out as a Celery task from a thread; answers come back on a Redis stream that another thread reads. A
broker that is away, a worker that is busy and an answer that comes too late all look the same to the kernel: there is
no fresh forecast, and it holds.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import redis
import structlog
from celery import Celery
from kombu.exceptions import KombuError

from workers.engine.events import Forecast

TASK: Final = "gekko.forecast.predict"
BLOCK_MS: Final = 1000
RETRY_S: Final = 1.0
SECOND_NS: Final = 1_000_000_000

log = structlog.get_logger(__name__)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One batch: closes as floats, oldest first, for all instruments whose bar ended at ``as_of``."""

    request_id: str
    model_digest: str
    reply_to: str
    as_of: int
    interval_ns: int
    instruments: dict[str, list[float]]
    sent_at: int


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The worker's answer: forecasts, or why there are none. Times in ns."""

    request_id: str
    forecasts: tuple[Forecast, ...] = ()
    queue_ns: int = 0
    compute_ns: int = 0
    error: str = ""


_reply_decoder = msgspec.json.Decoder(Reply)


class ForecastClient:
    """``ask`` from any thread; ``on_reply`` is called from the reader's thread."""

    def __init__(self, *, app: Celery, url: str, worker: str, on_reply: Callable[[Reply], None]) -> None:
        self.reply_to = f"gekko:forecast:{worker}"
        self._app = app
        self._client = redis.Redis.from_url(url, socket_timeout=BLOCK_MS / 1000 + 4)
        self._on_reply = on_reply
        self._requests: queue.Queue[Request | None] = queue.Queue(maxsize=4)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send_all, name="forecast-ask", daemon=True),
            threading.Thread(target=self._read_all, name="forecast-hear", daemon=True),
        ]

    def start(self) -> None:
        """Begin to send and to listen; answers to an earlier process are not read."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop both threads."""
        self._stop.set()
        self._offer(None)
        for thread in self._threads:
            thread.join(3)
        self._client.close()

    def ask(self, *, as_of: int, interval_ns: int, model_digest: str, closes: dict[str, list[float]]) -> str:
        """Pass a batch on and return its id; the oldest waiting batch gives way when four wait already."""
        request = Request(
            request_id=f"{as_of}-{interval_ns}-{model_digest[:12]}",
            model_digest=model_digest,
            reply_to=self.reply_to,
            as_of=as_of,
            interval_ns=interval_ns,
            instruments=closes,
            sent_at=time.time_ns(),
        )
        self._offer(request)
        return request.request_id

    def _offer(self, request: Request | None) -> None:
        while True:
            try:
                self._requests.put_nowait(request)
            except queue.Full:
                self._drop_oldest()
            else:
                return

    def _drop_oldest(self) -> None:
        try:
            self._requests.get_nowait()
        except queue.Empty:
            return

    def _send_all(self) -> None:
        while (request := self._requests.get()) is not None:
            try:
                self._app.send_task(
                    TASK,
                    args=[msgspec.to_builtins(request)],
                    queue="gpu",
                    expires=max(2 * request.interval_ns / SECOND_NS, 1.0),
                    retry=False,
                    ignore_result=True,
                )
            except (KombuError, redis.RedisError, OSError) as error:
                log.warning("forecast not asked for", request=request.request_id, error=str(error))

    def _read_all(self) -> None:
        last: bytes | str = "$"
        while not self._stop.is_set():
            try:
                last = self._position(last)
                streams: Any = self._client.xread({self.reply_to: last}, block=BLOCK_MS, count=16)
                for _, entries in streams or ():
                    for position, fields in entries:
                        last = position
                        self._deliver(fields)
            except (redis.RedisError, OSError) as error:
                log.warning("forecast answers cannot be read", error=str(error))
                self._stop.wait(RETRY_S)

    def _position(self, last: bytes | str) -> bytes | str:
        """Where to read on; "$" is resolved once, so that nothing is lost between two reads."""
        if last != "$":
            return last
        newest: Any = self._client.xrevrange(self.reply_to, count=1)
        return newest[0][0] if newest else "0-0"

    def _deliver(self, fields: dict[bytes, bytes]) -> None:
        try:
            reply = _reply_decoder.decode(fields[b"data"])
        except (KeyError, msgspec.DecodeError) as error:
            log.warning("unreadable forecast answer", error=str(error))
            return
        self._on_reply(reply)
