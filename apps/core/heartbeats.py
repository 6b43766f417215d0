"""Who lives: every process writes a heartbeat each second into one Redis hash."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import redis
from django.conf import settings

from apps.core.errors import Unavailable

KEY: Final = "gekko:heartbeat"
LOST_AFTER: Final = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """The newest sign of life of one process; ``detail`` is what the process says of itself."""

    name: str
    at: datetime
    pid: int = 0
    detail: dict[str, Any] = field(default_factory=dict)

    def fresh(self, now: datetime) -> bool:
        return now - self.at <= LOST_AFTER


@functools.lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)


def read() -> dict[str, Heartbeat]:
    """All heartbeats by process name, old ones included. Raises Unavailable when Redis cannot be asked."""
    try:
        found = cast("dict[bytes, bytes]", _client(settings.REDIS_URL).hgetall(KEY))
    except redis.RedisError as error:
        raise Unavailable(f"heartbeats cannot be read: {error}") from error
    beats = (_parse(raw) for raw in found.values())
    return {beat.name: beat for beat in beats if beat is not None}


def _parse(raw: bytes) -> Heartbeat | None:
    """The heartbeat, or None for something that is none: a foreign writer must not blind the watch."""
    try:
        value = json.loads(raw)
        return Heartbeat(
            name=str(value["name"]),
            at=datetime.fromtimestamp(float(value["ts"]), UTC),
            pid=int(value.get("pid") or 0),
            detail=dict(value.get("detail") or {}),
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
