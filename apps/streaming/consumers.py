"""The live socket at ``/ws/live/``.

The client sends ``{"action": "subscribe", "topic": "orders", "since": 41}`` (``since`` is optional) or
``{"action": "unsubscribe", "topic": ...}`` and receives envelopes (``domain/envelopes.py``). A client that sees a gap
subscribes again on the same socket. Close codes: 4401 sign in again, 4403 topic refused, 4429 too slow, 1012 come
again: the server restarts, or a part of it cannot be reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any, Final

import redis
import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import DatabaseError

from apps.accounts.permissions import allowed
from apps.core.clock import SYSTEM_CLOCK
from apps.core.context import Context
from apps.streaming.callers import caller_of
from apps.streaming.domain.envelopes import Envelope, envelope, text_of
from apps.streaming.hub import Client, hub
from apps.streaming.replay import catch_up
from apps.streaming.topics import TOPICS, Topic

log = structlog.get_logger(__name__)

SIGN_IN, REFUSED, TOO_SLOW, COME_AGAIN = 4401, 4403, 4429, 1012
HEARTBEAT_S: Final = 15.0
RECHECK_S: Final = 30.0
FLUSH_S: Final = 0.05
"""Messages that come closer together travel in one frame each flush; nobody sees the difference."""
LARGEST_REQUEST: Final = 1024


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no type information
    """One browser tab. Says nothing until it is sure of a live session with a second factor."""

    ctx: Context
    client: Client

    async def connect(self) -> None:
        caller = await self._caller()
        await self.accept()
        if caller is None:
            await self.close(SIGN_IN)
            return
        self.ctx = caller
        self.client = Client(caller.actor.id)
        self._last: dict[str, int] = {}
        self._order = asyncio.Lock()
        await hub().join(self.client)
        self._sender = asyncio.create_task(self._send_forever(), name="live-sender")

    async def disconnect(self, code: int) -> None:  # noqa: ARG002 - Channels calls it so
        if hasattr(self, "client"):
            hub().leave(self.client)
            self._sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sender

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not hasattr(self, "client"):
            return
        request = _parse(text_data, bytes_data)
        topic = TOPICS.get(str(request.get("topic"))) if request else None
        if request is None or topic is None or request.get("action") not in ("subscribe", "unsubscribe"):
            await self._say(
                "error", data="expected {action: subscribe | unsubscribe, topic, since?} with a known topic"
            )
            return
        if request["action"] == "unsubscribe":
            hub().unsubscribe(self.client, topic.name)
            self._last.pop(topic.name, None)
        else:
            await self._subscribe(topic, request.get("since"))

    async def _subscribe(self, topic: Topic, since: Any) -> None:
        if not allowed(self.ctx, topic.capability):
            await self._say("error", topic=topic.name, data=f"this topic needs the permission {topic.capability.value}")
            await self._end(REFUSED)
            return
        known = since if isinstance(since, int) and not isinstance(since, bool) and since >= 0 else None
        try:
            # The sender waits: an event that overtook the snapshot would be taken back by it.
            async with self._order:
                self._last[topic.name] = known or 0
                # Joined before the state is read: what happens in between comes twice, never not at all.
                hub().subscribe(self.client, topic.name)
                for message in await database_sync_to_async(catch_up)(self.ctx, topic, known):
                    await self._send(message)
                if topic.lossless:
                    hub().starts_at(topic.name, self._last[topic.name])
        except (DatabaseError, redis.RedisError) as error:
            await self._come_again(error)

    async def _send_forever(self) -> None:
        """Until the socket ends. An outage ends it: silence would look like a market in which nothing happens."""
        try:
            await self._heartbeats_messages_and_rechecks()
        except (DatabaseError, redis.RedisError) as error:
            await self._come_again(error)

    async def _come_again(self, error: Exception) -> None:
        log.warning("live socket closed", error=f"{type(error).__name__}: {error}")
        await self._end(COME_AGAIN)

    async def _end(self, code: int) -> None:
        """Close the socket; nothing is sent into it any more."""
        if asyncio.current_task() is not self._sender:
            self._sender.cancel()
        await self.close(code)

    async def _heartbeats_messages_and_rechecks(self) -> None:
        beat_at = check_at = time.monotonic()
        check_at += RECHECK_S
        while True:
            now = time.monotonic()
            if now >= beat_at:
                await self._say("hb")
                beat_at = now + HEARTBEAT_S
            if self.client.recheck or now >= check_at:
                self.client.recheck = False
                check_at = now + RECHECK_S
                if not await self._still_allowed():
                    return
            if self.client.too_slow:
                await self._end(TOO_SLOW)
                return
            self.client.wake.clear()
            async with self._order:
                for message in self.client.queue.drain():
                    await self._send(message)
            await asyncio.sleep(FLUSH_S)
            with contextlib.suppress(TimeoutError):
                # wait_for would make a task of each wait, for every client and message.
                async with asyncio.timeout(max(0.0, min(beat_at, check_at) - time.monotonic())):
                    await self.client.wake.wait()

    async def _still_allowed(self) -> bool:
        """Ask again who this is; close when it is nobody, or when a topic is no longer theirs."""
        caller = await self._caller()
        if caller is None:
            await self._end(SIGN_IN)
            return False
        self.ctx = caller
        if any(not allowed(caller, TOPICS[name].capability) for name in self._last):
            await self._end(REFUSED)
            return False
        return True

    async def _caller(self) -> Context | None:
        key = self.scope.get("cookies", {}).get(settings.SESSION_COOKIE_NAME)
        address = (self.scope.get("client") or ("", 0))[0]
        caller: Context | None = await database_sync_to_async(caller_of)(key, address)
        return caller

    async def _send(self, message: Envelope) -> None:
        topic, seq = message["topic"], message["seq"]
        # Replayed already, or older than the snapshot.
        if message["kind"] == "event" and seq <= self._last.get(topic, 0):
            return
        if message["kind"] in ("event", "snapshot"):
            self._last[topic] = seq
        await self.send(text_data=text_of(message))

    async def _say(self, kind: str, *, topic: str = "", data: Any = None) -> None:
        await self._send(envelope(topic=topic, kind=kind, seq=0, ts=SYSTEM_CLOCK.now().isoformat(), data=data))


def _parse(text: str | None, binary: bytes | None) -> dict[str, Any] | None:
    """The client's request; None when it is not a small JSON object."""
    if binary is not None or text is None or len(text) > LARGEST_REQUEST:
        return None
    try:
        request = json.loads(text)
    except ValueError:
        return None
    return request if isinstance(request, dict) else None
