"""Nothing is lost on the way to a browser: gaps, slow snapshots, messages that never reached this process, outages."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import OperationalError, transaction

from apps.core.context import service_context
from apps.core.outbox import publish
from apps.streaming import consumers
from apps.streaming import hub as hubs
from apps.streaming.domain.envelopes import Envelope, upsert
from apps.streaming.hub import hub
from apps.streaming.publishing import OutboxPublisher
from apps.streaming.replay import catch_up
from controlplane.routing import websocket
from tests.factories.people import make_person, signed_in
from tests.support.sockets import SocketClient

pytestmark = pytest.mark.django_db(transaction=True)

CTX = service_context("test")


@pytest.fixture(autouse=True)
def in_memory_layer(settings: Any) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def write(topic: str, key: str, version: int) -> None:
    with transaction.atomic():
        publish(CTX, topic=topic, kind="x.updated", key=key, data={"key": key, "version": version})


def relay() -> None:
    OutboxPublisher(threading.Event()).publish_batch()


def write_and_relay(*versions: int, topic: str = "orders") -> None:
    for version in versions:
        write(topic, "a", version)
    relay()


@pytest.fixture
async def link() -> AsyncIterator[SocketClient]:
    person = await sync_to_async(make_person)("", "operator")
    browser = await sync_to_async(signed_in)(person)
    cookie = f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"
    headers = [(b"origin", b"http://localhost"), (b"host", b"localhost"), (b"cookie", cookie.encode())]
    link = SocketClient(websocket, "/ws/live/", headers=headers)
    assert await link.connect()
    yield link
    await link.disconnect()


async def say(link: SocketClient, action: str, topic: str, since: int | None = None) -> None:
    await link.send_text(json.dumps({"action": action, "topic": topic} | ({} if since is None else {"since": since})))


async def hear(link: SocketClient, seconds: float = 3) -> Envelope:
    """The next message that is no heartbeat."""
    while True:
        message: Envelope = json.loads(await link.receive_text(seconds))
        if message["kind"] != "hb":
            return message


async def close_code(link: SocketClient) -> int:
    async with asyncio.timeout(5):
        while True:
            output = await link.receive_output(5)
            if output["type"] == "websocket.close":
                return int(output["code"])


async def test_a_client_that_saw_a_gap_gets_what_was_missed_on_the_same_socket(link: SocketClient) -> None:
    await say(link, "subscribe", "orders")
    assert (await hear(link))["kind"] == "snapshot"
    await sync_to_async(write_and_relay)(1, 2, 3)
    assert [(await hear(link))["seq"] for _ in range(3)] == [1, 2, 3]
    await say(link, "subscribe", "orders", since=1)
    assert [(await hear(link))["seq"] for _ in range(2)] == [2, 3]


@pytest.mark.parametrize("since", [None, 1])
async def test_what_happens_while_a_snapshot_is_read_comes_after_it(
    link: SocketClient, monkeypatch: pytest.MonkeyPatch, since: int | None
) -> None:
    """A snapshot that arrives after a newer event would take the event back."""
    await sync_to_async(write_and_relay)(1, 2)
    read, go_on = threading.Event(), threading.Event()

    def slow(*args: Any) -> list[Envelope]:
        found = catch_up(*args)
        read.set()
        assert go_on.wait(5)
        return found

    monkeypatch.setattr(consumers, "catch_up", slow)
    await say(link, "subscribe", "orders", since=since)
    await asyncio.to_thread(read.wait, 5)
    late = {"v": 1, "topic": "orders", "kind": "event", "key": "a", "seq": 3, "ts": "", "data": {"version": 3}}
    hub().dispatch([late])
    await asyncio.sleep(3 * consumers.FLUSH_S)
    go_on.set()
    heard = [await hear(link)]
    while heard[-1]["seq"] < 3:
        heard.append(await hear(link))
    assert [(message["kind"], message["seq"]) for message in heard] == (
        [("snapshot", 2), ("event", 3)] if since is None else [("event", 2), ("event", 3)]
    )
    state: dict[str, Any] = {}
    for message in heard:
        state = upsert(state, message)
    assert state["a"]["version"] == 3


async def test_what_never_reached_this_process_is_fetched(link: SocketClient, monkeypatch: pytest.MonkeyPatch) -> None:
    await say(link, "subscribe", "orders")
    await hear(link)
    with monkeypatch.context() as lost:
        lost.setattr(hubs.Hub, "dispatch", lambda self, messages: None)
        await sync_to_async(write_and_relay)(1, 2)
        await asyncio.sleep(0.1)
    await hub().audit()
    # One look may be too early for a message on its way; the second is sure.
    await hub().audit()
    assert [(await hear(link))["seq"] for _ in range(2)] == [1, 2]
    await hub().audit()
    assert hub()._clients
    assert not any(len(client.queue) for client in hub()._clients)


async def test_an_unsubscribed_topic_is_silent(link: SocketClient) -> None:
    await say(link, "subscribe", "orders")
    await hear(link)
    await say(link, "unsubscribe", "orders")
    await say(link, "subscribe", "fills")
    assert (await hear(link))["topic"] == "fills"
    await sync_to_async(write_and_relay)(1)
    await sync_to_async(write_and_relay)(1, topic="fills")
    assert (await hear(link))["topic"] == "fills"


async def test_an_outage_of_the_database_closes_the_socket_for_a_new_try(
    link: SocketClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*args: Any) -> list[Envelope]:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(consumers, "catch_up", down)
    await say(link, "subscribe", "orders")
    assert await close_code(link) == 1012


async def test_an_outage_during_the_recheck_closes_the_socket_for_a_new_try(
    link: SocketClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(link, "subscribe", "orders")
    await hear(link)

    def down(*args: Any) -> None:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(consumers, "caller_of", down)
    for client in hub()._clients:
        client.recheck = True
        client.wake.set()
    assert await close_code(link) == 1012
