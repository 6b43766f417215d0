"""From the live stream of the trading loop to the hubs: values for display, of which only the newest matters."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any, Final

import redis
import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings

from apps.streaming.domain.envelopes import Envelope, envelope
from apps.streaming.hub import GROUP
from apps.streaming.topics import HEARTBEATS

log = structlog.get_logger(__name__)

STREAM: Final = "gekko:live"
BLOCK_MS: Final = 1000
RETRY_S: Final = 1.0
READ_AT_ONCE: Final = 200


def to_envelope(raw: bytes) -> Envelope:
    """A stream entry, whose ``ts`` is in seconds since 1970, as a delta."""
    entry = json.loads(raw)
    ts = datetime.fromtimestamp(entry["ts"], UTC).isoformat()
    return envelope(
        topic=entry["topic"], kind="delta", seq=entry["seq"], ts=ts, key=entry.get("key", ""), data=entry["data"]
    )


class LiveForwarder:
    """A daemon thread that reads the stream from now on and passes each batch to the channel layer."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._redis = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=5)
        self._beats = 0

    def start(self) -> None:
        threading.Thread(target=self._run, name="live-forwarder", daemon=True).start()

    def _run(self) -> None:
        position = ""
        while not self._stop.is_set():
            try:
                position = self.forward(position or self._newest())
            except redis.RedisError as error:
                log.warning("live stream interrupted", error=f"{type(error).__name__}: {error}")
                self._stop.wait(RETRY_S)

    def _newest(self) -> str:
        """The position of the last entry there is: "$" would skip what comes between two reads."""
        found: Any = self._redis.xrevrange(STREAM, count=1)
        return found[0][0].decode() if found else "0"

    def forward(self, position: str) -> str:
        """Pass on what came after ``position`` within a second, and the heartbeats; returns the new position."""
        answer: Any = self._redis.xread({STREAM: position}, count=READ_AT_ONCE, block=BLOCK_MS)
        entries = [entry for _stream, found in answer or () for entry in found]
        messages = [to_envelope(fields[b"data"]) for _id, fields in entries]
        messages += self._heartbeats()
        if messages:
            layer: Any = get_channel_layer()
            async_to_sync(layer.group_send)(GROUP, {"type": "live", "messages": messages})
        return entries[-1][0].decode() if entries else position

    def _heartbeats(self) -> list[Envelope]:
        """The processes' heartbeats as topic ``system``, once a second."""
        now = datetime.now(UTC)
        if int(now.timestamp()) == self._beats:
            return []
        self._beats = int(now.timestamp())
        stored: Any = self._redis.hgetall(HEARTBEATS)
        return [
            envelope(
                topic="system",
                kind="delta",
                seq=self._beats,
                ts=now.isoformat(),
                key=name.decode(),
                data=json.loads(beat),
            )
            for name, beat in stored.items()
        ]
