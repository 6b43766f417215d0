"""One subscription per process, many clients: the hub takes each message once and gives it to whom it concerns.

A channel-layer group per socket costs five to ten times the processor time per delivered message.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any, Final

import structlog
from channels.layers import get_channel_layer
from prometheus_client import Counter, Gauge

from apps.streaming.domain.envelopes import Envelope
from apps.streaming.domain.queues import ClientQueue, TooSlow
from apps.streaming.topics import REVOCATIONS, TOPICS

log = structlog.get_logger(__name__)

GROUP: Final = "gekko.live"
RETRY_S: Final = 1.0
CLIENTS = Gauge("gekko_live_clients", "Open live sockets of this process")
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
        self._subscribed = asyncio.Event()

    async def join(self, client: Client) -> None:
        """Add a client; the first one starts the subscription. Returns once messages are being received."""
        self._clients.add(client)
        CLIENTS.set(len(self._clients))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="live-hub")
        await self._subscribed.wait()

    def leave(self, client: Client) -> None:
        self._clients.discard(client)
        CLIENTS.set(len(self._clients))
        for members in self._by_topic.values():
            members.discard(client)

    def subscribe(self, client: Client, topic: str) -> None:
        self._by_topic[topic].add(client)

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
            members = self._by_topic.get(name)
            if topic is None or not members:
                continue
            for client in members:
                client.deliver(message, lossless=topic.lossless)
            DELIVERED.labels(name).inc(len(members))

    def _revoke(self, user_id: str) -> None:
        for client in self._clients:
            if client.user_id == user_id:
                client.recheck = True
                client.wake.set()

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
