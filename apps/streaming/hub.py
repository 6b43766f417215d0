"""One subscription per process, many clients: the hub takes each message once and gives it to whom it concerns.

A channel-layer group per socket costs five to ten times the processor time per delivered message.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any, Final

import structlog
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.db import DatabaseError
from prometheus_client import Counter, Gauge

from apps.streaming.domain.envelopes import Envelope, Shared
from apps.streaming.domain.queues import ClientQueue, TooSlow
from apps.streaming.replay import newest_published, newest_upto
from apps.streaming.topics import REVOCATIONS, TOPICS

log = structlog.get_logger(__name__)

GROUP: Final = "gekko.live"
RETRY_S: Final = 1.0
AUDIT_S: Final = 3.0
"""How often the hub compares what it heard with what was published."""
CLIENTS = Gauge("gekko_live_clients", "Open live sockets of this process")
MISSED = Counter("gekko_live_missed_total", "Messages that did not reach this process and were fetched", ["topic"])
DELIVERED = Counter("gekko_live_messages_total", "Messages queued for clients", ["topic"])


class Client:
    """One socket, as the hub sees it: its queue, and two flags that its sender waits for."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.queue = ClientQueue()
        self.wake = asyncio.Event()
        self.too_slow = False
        self.recheck = False
        """Something about the user's sessions or roles changed."""

    def deliver(self, message: Envelope, *, lossless: bool) -> None:
        try:
            if lossless:
                self.queue.add_event(message)
            else:
                self.queue.add_value(message)
        except TooSlow:
            self.too_slow = True
        self.wake.set()


class Hub:
    """The clients of this process by topic, and the task that feeds them."""

    def __init__(self) -> None:
        self._by_topic: dict[str, set[Client]] = defaultdict(set)
        self._clients: set[Client] = set()
        self._task: asyncio.Task[None] | None = None
        self._auditor: asyncio.Task[None] | None = None
        self._heard: dict[str, int] = {}
        self._behind: dict[str, int] = {}
        self._subscribed = asyncio.Event()

    async def join(self, client: Client) -> None:
        """Add a client; the first one starts the subscription. Returns once messages are being received."""
        self._clients.add(client)
        CLIENTS.set(len(self._clients))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="live-hub")
            self._auditor = asyncio.create_task(self._audit_forever(), name="live-hub-auditor")
        await self._subscribed.wait()

    def leave(self, client: Client) -> None:
        self._clients.discard(client)
        CLIENTS.set(len(self._clients))
        for members in self._by_topic.values():
            members.discard(client)

    def subscribe(self, client: Client, topic: str) -> None:
        self._by_topic[topic].add(client)

    def starts_at(self, topic: str, seq: int) -> None:
        """A client of ``topic`` was given everything up to ``seq``: what comes later must be heard."""
        self._heard.setdefault(topic, seq)

    def unsubscribe(self, client: Client, topic: str) -> None:
        self._by_topic[topic].discard(client)

    def dispatch(self, messages: list[Envelope]) -> None:
        """Give each message to the clients of its topic."""
        for message in messages:
            name = message["topic"]
            if name == REVOCATIONS:
                self._revoke(message["key"])
                continue
            topic = TOPICS.get(name)
            if topic is None:
                continue
            if topic.lossless:
                self._heard[name] = max(self._heard.get(name, 0), message["seq"])
            members = self._by_topic.get(name)
            if not members:
                continue
            shared = Shared(message)
            for client in members:
                client.deliver(shared, lossless=topic.lossless)
            DELIVERED.labels(name).inc(len(members))

    def _revoke(self, user_id: str) -> None:
        for client in self._clients:
            if client.user_id == user_id:
                client.recheck = True
                client.wake.set()

    async def audit(self) -> None:
        """Fetch published messages that never came, as after a restart of the broker.

        A gap in the middle is seen by clients themselves; only here is seen that the end is missing. What is missing at
        two looks in a row is not on its way any more.
        """
        if not self._clients:
            return
        published = await database_sync_to_async(newest_published)()
        behind = {name: seq for name, seq in published.items() if self._heard.get(name, seq) < seq}
        for name, seq in self._behind.items():
            if self._heard[name] < seq:
                missed = await database_sync_to_async(newest_upto)(name, self._heard[name], seq)
                MISSED.labels(name).inc(len(missed))
                log.warning("live messages fetched that never came", topic=name, count=len(missed))
                self.dispatch(missed)
        self._behind = behind

    async def _audit_forever(self) -> None:
        while True:
            await asyncio.sleep(AUDIT_S)
            try:
                await self.audit()
            except DatabaseError as error:
                log.warning("live hub cannot compare", error=f"{type(error).__name__}: {error}")

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - the broker may be restarting; nothing else may end the hub
                log.warning("live subscription lost", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(RETRY_S)

    async def _listen(self) -> None:
        layer: Any = get_channel_layer()
        channel = await layer.new_channel("hub")
        await layer.group_add(GROUP, channel)
        self._subscribed.set()
        try:
            while True:
                message = await layer.receive(channel)
                self.dispatch(message["messages"])
        finally:
            await layer.group_discard(GROUP, channel)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    for old in [known for known in _hubs if known.is_closed()]:
        del _hubs[old]
    return _hubs.setdefault(loop, Hub())
