"""Fan-out of live messages: processor time per delivered message, from the hub's input to the sockets' output.

One event loop holds the hub and real consumers behind an ASGI send that only counts; messages come in batches as the
relay sends them, through the in-memory channel layer, so that neither a broker nor a network is measured. A second row
per size leaves the consumers out and shows the hub with its queues alone.

Run: ``python -m tests.perf.bench_hub``
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any

CLIENTS = (10, 50, 200, 1000)
ROUNDS, RATE_HZ, PER_ROUND = 100, 20, 1
Row = tuple[str, float, float, float, int, float]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings.test")
    import django

    django.setup()
    from django.conf import settings

    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    from apps.streaming import hub

    # There is no database here to compare with.
    hub.AUDIT_S = 3600.0  # type: ignore[misc]  # a constant everywhere else
    rows = [asyncio.run(_queues(count)) for count in CLIENTS]
    rows += [asyncio.run(_sockets(count)) for count in CLIENTS]
    _print(rows)


def _message(seq: int) -> dict[str, Any]:
    """About 400 bytes, as one row of the topic pnl is."""
    from apps.streaming.domain.envelopes import envelope

    amounts = dict.fromkeys(("equity", "realised", "unrealised", "fees", "pnl", "day_pnl", "cash", "gross"), "100012.5")
    data = {"venue": "paper", "quote": "USDT", "fills": seq, "sent": time.perf_counter(), **amounts}
    return envelope(topic="pnl", kind="delta", seq=seq, ts=datetime.now(UTC).isoformat(), key="paper", data=data)


async def _queues(count: int) -> Row:
    """The hub and the clients' queues alone: every message is drained at once."""
    from apps.streaming.hub import Client, Hub

    hub = Hub()
    clients = [Client(str(index)) for index in range(count)]
    for client in clients:
        hub.subscribe(client, "pnl")
    delivered = 0
    began = time.process_time()
    for seq in range(ROUNDS):
        hub.dispatch([_message(seq)])
        for client in clients:
            delivered += len(client.queue.drain())
    spent = time.process_time() - began
    return (f"hub and queues x{count}", 0.0, 0.0, spent / delivered * 1e6, delivered, 1.0)


async def _sockets(count: int) -> Row:
    """Consumers with their senders, as in the web process."""
    from apps.streaming.consumers import LiveConsumer
    from apps.streaming.hub import hub

    heard: list[tuple[float, str]] = []

    class Counting(LiveConsumer):
        async def send(
            self, text_data: str | None = None, bytes_data: bytes | None = None, close: bool = False
        ) -> None:
            heard.append((time.perf_counter(), text_data or ""))

    consumers = [await _open(Counting) for _ in range(count)]
    await asyncio.sleep(0.2)
    heard.clear()
    from channels.layers import get_channel_layer

    from apps.streaming.hub import GROUP

    layer: Any = get_channel_layer()
    began = time.process_time()
    for seq in range(ROUNDS):
        await layer.group_send(GROUP, {"type": "live", "messages": [_message(seq)] * PER_ROUND})
        await asyncio.sleep(1 / RATE_HZ)
    await asyncio.sleep(0.5)
    spent = time.process_time() - began
    for consumer in consumers:
        consumer._sender.cancel()
        hub().leave(consumer.client)
    ordered = sorted(at - json.loads(text)["data"]["sent"] for at, text in heard)
    p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    share = len(ordered) / (count * ROUNDS)
    return (f"sockets x{count}, {RATE_HZ}/s", p50 * 1e3, p99 * 1e3, spent / len(ordered) * 1e6, len(ordered), share)


async def _open(kind: Any) -> Any:
    """A consumer past its sign-in, subscribed to pnl."""
    from apps.core.context import service_context
    from apps.streaming.hub import Client, hub

    consumer = kind()
    consumer.ctx = service_context("bench")
    consumer.client = Client("bench")
    consumer._last = {}
    consumer._order = asyncio.Lock()
    await hub().join(consumer.client)
    hub().subscribe(consumer.client, "pnl")
    consumer._sender = asyncio.create_task(consumer._send_forever())
    return consumer


def _print(rows: list[Row]) -> None:
    out = sys.stdout.write
    out(f"{'fan-out':<30} {'p50 ms':>8} {'p99 ms':>8} {'CPU us/message':>15} {'count':>9} {'delivered':>10}\n")
    for name, p50, p99, cpu, count, share in rows:
        waited = f"{p50:>8.1f} {p99:>8.1f}" if p99 else f"{'':>8} {'':>8}"
        out(f"{name:<30} {waited} {cpu:>15.1f} {count:>9} {share:>10.1%}\n")
    out("delivered below 100 %: values that were replaced by newer ones before they were sent\n")
    out(f"load average {' '.join(f'{value:.2f}' for value in os.getloadavg())}\n")


if __name__ == "__main__":
    main()
