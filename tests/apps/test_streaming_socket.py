"""The live socket: who may listen, what arrives, what a reconnect brings, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction

from apps.accounts.services.sessions import end_all_sessions
from apps.core.context import service_context
from apps.core.models import OutboxMessage
from apps.core.outbox import publish
from apps.streaming import publishing
from apps.streaming.hub import hub
from apps.streaming.publishing import OutboxPublisher
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


def relay() -> int:
    """Number and mark what waits, as the relay does, and return how many; the caller dispatches."""
    import threading

    return OutboxPublisher(threading.Event()).publish_batch()


@pytest.fixture
def session_cookie() -> Callable[..., str]:
    def sign_in(*roles: str) -> str:
        browser = signed_in(make_person("", *(roles or ("operator",))))
        return str(browser.cookies[settings.SESSION_COOKIE_NAME].value)

    return sign_in


def socket(cookie: str | None, origin: str = "http://localhost") -> SocketClient:
    headers = [(b"origin", origin.encode()), (b"host", b"localhost")]
    if cookie:
        headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode()))
    return SocketClient(websocket, "/ws/live/", headers=headers)


async def hear(link: SocketClient, kind: str, seconds: float = 3) -> dict[str, Any]:
    """The next message of ``kind``; heartbeats in between are skipped."""
    while True:
        message: dict[str, Any] = json.loads(await link.receive_text(seconds))
        if message["kind"] == kind:
            return message
        assert message["kind"] == "hb", message


async def ask(link: SocketClient, topic: str, since: int | None = None) -> None:
    request = {"action": "subscribe", "topic": topic} | ({} if since is None else {"since": since})
    await link.send_text(json.dumps(request))


async def close_code(link: SocketClient, seconds: float = 5) -> int:
    async with asyncio.timeout(seconds):
        while True:
            output = await link.receive_output(seconds)
            if output["type"] == "websocket.close":
                return int(output["code"])


@pytest.fixture
async def link(session_cookie: Callable[..., str]) -> AsyncIterator[SocketClient]:
    cookie = await sync_to_async(session_cookie)()
    link = socket(cookie)
    assert await link.connect()
    yield link
    await link.disconnect()


@pytest.mark.parametrize("cookie", [None, "made-up-session-key"])
async def test_a_stranger_is_told_to_sign_in(cookie: str | None) -> None:
    link = socket(cookie)
    await link.connect()
    assert await close_code(link) == 4401


async def test_a_password_without_the_second_factor_is_a_stranger(client: Any) -> None:
    person = await sync_to_async(make_person)("", "operator")
    await sync_to_async(client.force_login)(person.user)
    link = socket(client.cookies[settings.SESSION_COOKIE_NAME].value)
    await link.connect()
    assert await close_code(link) == 4401


async def test_a_page_of_another_host_is_refused(session_cookie: Callable[..., str]) -> None:
    cookie = await sync_to_async(session_cookie)()
    assert not await socket(cookie, origin="http://evil.example").connect()


async def test_a_role_without_the_permission_is_refused_the_topic(link: SocketClient) -> None:
    await ask(link, "nonsense")
    assert "known topic" in (await hear(link, "error"))["data"]


async def test_snapshot_then_events_without_gap_or_repeat(link: SocketClient) -> None:
    await sync_to_async(write)("orders", "a", 1)
    await sync_to_async(relay)()
    await ask(link, "orders")
    snapshot = await hear(link, "snapshot")
    assert snapshot["seq"] == 1
    for version in (2, 3):
        await sync_to_async(write)("orders", "a", version)
    await sync_to_async(relay)()
    assert [(await hear(link, "event"))["seq"] for _ in range(2)] == [2, 3]


async def test_a_reconnect_replays_exactly_what_was_missed(link: SocketClient) -> None:
    for version in range(1, 6):
        await sync_to_async(write)("orders", "a", version)
    await sync_to_async(relay)()
    await ask(link, "orders", since=2)
    assert [(await hear(link, "event"))["seq"] for _ in range(3)] == [3, 4, 5]


async def test_when_what_was_missed_is_no_longer_kept_a_snapshot_comes(link: SocketClient) -> None:
    for version in range(1, 4):
        await sync_to_async(write)("orders", "a", version)
    await sync_to_async(relay)()
    await OutboxMessage.objects.filter(seq=2).adelete()
    await ask(link, "orders", since=1)
    assert (await hear(link, "snapshot"))["seq"] == 3


async def test_values_in_between_are_skipped_for_conflated_topics(link: SocketClient) -> None:
    await ask(link, "pnl")
    await hear(link, "snapshot")
    values = [
        {"v": 1, "topic": "pnl", "kind": "delta", "key": "desk", "seq": n, "ts": "", "data": n} for n in range(100)
    ]
    hub().dispatch(values)
    assert (await hear(link, "delta"))["data"] == 99


async def test_ending_the_session_closes_the_socket(session_cookie: Callable[..., str]) -> None:
    person = await sync_to_async(make_person)("", "operator")
    browser = await sync_to_async(signed_in)(person)
    link = socket(browser.cookies[settings.SESSION_COOKIE_NAME].value)
    await link.connect()
    await hear(link, "hb")
    await sync_to_async(end_all_sessions)(CTX, user=person.user, reason="test")
    await sync_to_async(relay)()
    assert await close_code(link) == 4401


async def test_a_client_that_falls_behind_is_sent_away(link: SocketClient) -> None:
    await ask(link, "orders")
    await hear(link, "snapshot")
    events = [
        {"v": 1, "topic": "orders", "kind": "event", "key": "a", "seq": n, "ts": "", "data": {}} for n in range(1, 2500)
    ]
    hub().dispatch(events)
    assert await close_code(link) == 4429


async def test_nonsense_is_answered_not_obeyed(link: SocketClient) -> None:
    for text in ("{", "[]", '"x"', json.dumps({"action": "subscribe"}), "x" * 5000):
        await link.send_text(text)
        assert "expected" in (await hear(link, "error"))["data"]


def test_sequences_are_gapless_per_topic_and_survive_a_crash_before_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        write("orders", f"o{n}", 1)
        write("fills", f"f{n}", 1)

    sent: list[list[int]] = []

    def crash(self: OutboxPublisher, rows: list[OutboxMessage]) -> None:
        sent.append([row.seq or 0 for row in rows])
        raise ConnectionError("cut")

    monkeypatch.setattr(OutboxPublisher, "_send", crash)
    with pytest.raises(ConnectionError):
        relay()
    monkeypatch.undo()
    write("orders", "o3", 1)
    assert relay() == 7
    assert relay() == 0
    for topic, count in (("orders", 4), ("fills", 3)):
        rows = OutboxMessage.objects.filter(topic=topic).order_by("id")
        assert [row.seq for row in rows] == list(range(1, count + 1))
    assert publishing.BATCH >= 7
