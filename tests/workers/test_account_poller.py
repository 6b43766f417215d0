"""Fills and ends of orders at a venue that must be asked: each once, fills before the end, losses announced."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.fake_coinbase import PRODUCT, FakeCoinbase
from tests.support.intents import intent, soon
from workers.adapters.account_poller import AccountPoller
from workers.adapters.coinbase.order_venue import CoinbaseVenue
from workers.adapters.coinbase.signing import Signer
from workers.engine.events import JournalEvent, OrderEnded, OrderFilled
from workers.engine.market.reconnect import Backoff
from workers.engine.vocabulary import OrderStatus


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # the condition is in another task's objects
            await asyncio.sleep(0.005)


async def test_fills_come_once_and_before_the_end_of_their_order() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    working: dict[str, str] = {}
    events: list[JournalEvent] = []
    states: list[bool] = []

    def reported(reports: Sequence[JournalEvent]) -> None:
        events.extend(reports)
        for one in reports:
            if isinstance(one, OrderEnded):
                working.pop(one.client_id)

    async with FakeCoinbase(key.public_key()).running() as fake:
        venue = CoinbaseVenue(
            Signer(fake.key_name, secret, clock=time.time_ns),
            clock=time.time_ns,
            url=f"http://127.0.0.1:{fake.port}",
        )
        await venue.open()
        await venue.load_instruments([PRODUCT])
        for name in ("a", "b"):
            await venue.submit(intent(name, PRODUCT, lots=10**8, price=10_002), soon(), lambda *_: None)
            working[name] = PRODUCT
        poller = AccountPoller(
            venue=venue,
            working=lambda: working,
            newest_trade=lambda symbol: 0,
            on_reports=reported,
            on_state=lambda connected, detail: states.append(connected),
            clock=time.time_ns,
            backoff=Backoff(random.Random(1), base_s=0.01, cap_s=0.02),
            interval_s=0.01,
        )
        task = asyncio.create_task(poller.run())
        try:
            await until(lambda: states == [True])
            fake.fill("order-1", "0.25")
            await until(lambda: len(events) == 1)
            fake.fill("order-2", "0.5")
            fake.fill("order-1", "0.25")
            await venue.cancel(PRODUCT, "a")
            await until(lambda: "a" not in working)
            fake.key = ed25519.Ed25519PrivateKey.generate().public_key()
            await until(lambda: states == [True, False])
            fake.key = key.public_key()
            await until(lambda: states == [True, False, True])
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await venue.close()
    fills = [(one.client_id, one.lots) for one in events if isinstance(one, OrderFilled)]
    assert sorted(fills) == [("a", 25_000_000), ("a", 25_000_000), ("b", 50_000_000)]
    (end,) = [one for one in events if isinstance(one, OrderEnded)]
    assert (end.client_id, end.status) == ("a", OrderStatus.CANCELED)
    of_a = [type(one) for one in events if getattr(one, "client_id", "") == "a"]
    assert of_a == [OrderFilled, OrderFilled, OrderEnded]
