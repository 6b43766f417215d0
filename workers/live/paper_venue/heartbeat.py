"""Tells once a second that the venue lives, and what it plays, where the other processes of the desk tell theirs."""

from __future__ import annotations

import asyncio
import logging
import os

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from workers.live.paper_venue.stage import Stage

log = logging.getLogger(__name__)

_KEY = "gekko:heartbeat"
_NAME = "venue"
_PERIOD_S = 1.0


async def beat(stage: Stage, redis_url: str) -> None:
    """Run for ever; an unreachable server costs a beat and nothing else."""
    client = redis.asyncio.Redis.from_url(redis_url, socket_timeout=1, socket_connect_timeout=1)
    silent = False
    try:
        while True:
            try:
                await client.hset(_KEY, _NAME, _sign(stage).decode())
                silent = False
            except RedisError as error:
                if not silent:
                    log.warning("heartbeat not delivered: %s", error)
                silent = True
            await asyncio.sleep(_PERIOD_S)
    finally:
        await client.aclose()


def _sign(stage: Stage) -> bytes:
    venue, market = stage.home, stage.home.market
    detail = {
        "market": str(venue.kind),
        "label": venue.label,
        "session": market.session_id,
        "open": market.open,
        "events": market.events,
        "websockets": sum(len(one.hub.connections) for one in stage),
        "venues": list(stage.others),
    }
    return msgspec.json.encode({"name": _NAME, "pid": os.getpid(), "ts": venue.clock() / 1e9, "detail": detail})
