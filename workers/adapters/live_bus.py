"""The display bus: newest values to Redis, at most four times a second per topic, and this process's heartbeat.

Callers put and go on; a thread of its own does the talking. What is newer replaces what has not gone out yet, so a
slow or absent Redis costs the caller nothing and the screen at most old values. Nothing of record travels here.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import redis
import structlog

STREAM: Final = "gekko:live"
LAST: Final = "gekko:last:"
HEARTBEATS: Final = "gekko:heartbeat"
STREAM_LENGTH: Final = 1000
INTERVAL_S: Final = 0.25
BEAT_S: Final = 1.0
TIMEOUT_S: Final = 2.0

log = structlog.get_logger(__name__)

Detail = Callable[[], dict[str, Any] | None]
"""Asked for at each heartbeat; None means that the process does not do its work, and it then shows no heartbeat."""


class LiveBus:
    """``put`` from any thread; ``start`` and ``close`` once."""

    def __init__(self, url: str, process: str, detail: Detail) -> None:
        self._client = redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
        self._process = process
        self._detail = detail
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], Any] = {}
        # Growing over restarts too, so that a subscriber's "since" stays meaningful: milliseconds at start, then +1.
        self._seq = int(time.time() * 1000)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-bus", daemon=True)
        self._next_beat = 0.0
        self._down = False

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def close(self) -> None:
        """Stop sending, and take the heartbeat away: a process that ended well is not a lost one."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(TIMEOUT_S * 2)
        try:
            self._client.hdel(HEARTBEATS, self._process)
        except redis.RedisError:
            log.info("heartbeat left behind", process=self._process)
        self._client.close()

    def put(self, topic: str, key: str, data: Any) -> None:
        """Show ``data`` (anything msgspec encodes) under ``topic`` and ``key``; never blocks on the network."""
        with self._lock:
            self._waiting[topic, key] = data

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            with self._lock:
                batch, self._waiting = self._waiting, {}
            try:
                self._send(batch)
                self._down = False
            except (redis.RedisError, OSError) as error:
                if not self._down:
                    log.warning("display bus is away", error=str(error))
                self._down = True

    def _send(self, batch: dict[tuple[str, str], Any]) -> None:
        pipe = self._client.pipeline(transaction=False)
        now = time.time()
        for (topic, key), data in batch.items():
            self._seq += 1
            message = {
                "topic": topic,
                "kind": "delta",
                "key": key,
                "seq": self._seq,
                "ts": now,
                "data": data,
            }
            encoded = msgspec.json.encode(message)
            pipe.xadd(STREAM, {"data": encoded}, maxlen=STREAM_LENGTH, approximate=True)
            pipe.hset(LAST + topic, key, encoded)
        if now >= self._next_beat and (detail := self._detail()) is not None:
            self._next_beat = now + BEAT_S
            beat = {"name": self._process, "pid": os.getpid(), "ts": now, "detail": detail}
            pipe.hset(HEARTBEATS, self._process, msgspec.json.encode(beat))
        if len(pipe):
            pipe.execute()
