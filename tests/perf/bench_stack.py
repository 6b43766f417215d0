"""The whole stack as ``make up`` starts it, with a synthetic market at 1,000 events a second.

From a market event on the execution worker's socket to the order leaving, stage by stage, read from the journal;
then authenticated reads over REST, one at a time and sixteen at once. ``--orders`` and ``--events`` change the load.
Client, venue, database and all processes share the machine. Run: ``python -m tests.perf.bench_stack``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import httpx

from tests.support.desk import BRISK, Desk
from tests.support.stack import Stack
from tests.support.truth import events
from workers.engine.events import JournalEvent, OrderSent
from workers.live.execution.metrics import STAGES

WARM_UP_S: Final = 15.0
LONGEST_S: Final = 600.0
# Within the API's own limit on reads by one person in a minute.
READS: Final = {1: 300, 16: 800}
PATHS: Final = ("trading/account/", "trading/positions/", "trading/orders/", "incidents/")


def quantile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def line(name: str, values: list[float]) -> str:
    """One row: p50, p99 and worst in milliseconds, and how many."""
    if not values:
        return f"{name:<12}{'-':>10}{'-':>10}{'-':>10}{0:>8}"
    shown = "".join(f"{ms:>10.3f}" for ms in (quantile(values, 0.5), quantile(values, 0.99), max(values)))
    return f"{name:<12}{shown}{len(values):>8}"


def sent_since(told: Iterable[JournalEvent], begun: int) -> list[OrderSent]:
    """Orders that a market event caused, sent after ``begun``."""
    return [event for event in told if type(event) is OrderSent and event.ts >= begun and "total" in event.stages]


def measure_orders(stack: Stack, count: int) -> None:
    """Wait for the orders and print their stages."""
    time.sleep(WARM_UP_S)
    folder, begun = stack.state / "journal", time.time_ns()
    fed, end = market_events(stack), time.monotonic() + LONGEST_S
    while len(sent := sent_since(events(folder), begun)) < count and time.monotonic() < end:
        time.sleep(5)
    seconds = (time.time_ns() - begun) / 1e9
    rate = (market_events(stack) - fed) / seconds
    print(f"market events {rate:,.0f}/s for {seconds:.0f} s, {len(sent)} orders, load {os.getloadavg()[0]:.1f}")
    print(f"{'stage':<12}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}{'count':>8}")
    for stage in STAGES:
        print(line(stage, [event.stages[stage] / 1e6 for event in sent if stage in event.stages]))


def market_events(stack: Stack) -> float:
    """How many market events the execution worker took so far."""
    text = httpx.get(f"{stack.process_urls['execution']}/metrics", timeout=10).text
    counted = [row for row in text.splitlines() if row.startswith("gekko_market_events_total{")]
    return sum(float(row.rsplit(" ", 1)[1]) for row in counted)


async def _read(url: str, cookies: httpx.Cookies, at_once: int, count: int) -> list[float]:
    """Times of ``count`` reads in ms, ``at_once`` of them under way at any moment."""
    paths, took = iter(list(islice(cycle(PATHS), count))), []
    limits = httpx.Limits(max_connections=at_once)
    async with httpx.AsyncClient(base_url=url, cookies=cookies, timeout=30, limits=limits) as client:

        async def reader() -> None:
            for path in paths:
                begun = time.perf_counter()
                answer = await client.get(path)
                answer.raise_for_status()
                took.append((time.perf_counter() - begun) * 1e3)

        await asyncio.gather(*(reader() for _ in range(at_once)))
    return took


def measure_reads(desk: Desk) -> None:
    """Reads by a signed-in person while the market goes on, a minute of the throttle's for each row."""
    print(f"\n{'REST reads':<12}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}{'count':>8}")
    for at_once, count in READS.items():
        time.sleep(61 - time.time() % 60)
        begun = time.perf_counter()
        took = asyncio.run(_read(str(desk.http.base_url), desk.http.cookies, at_once, count))
        rate = count / (time.perf_counter() - begun)
        print(f"{line(f'c={at_once}', took)}   {rate:.0f}/s, load {os.getloadavg()[0]:.1f}")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--orders", type=int, default=200)
    asked.add_argument("--events", type=float, default=1000.0)
    told = asked.parse_args([] if __name__ != "__main__" else None)
    market = {"GEKKO_MARKET": "synthetic", "GEKKO_VENUE_EVENTS_PER_SECOND": str(told.events)}
    # A shorter session than a day, as the venue draws no more events than it has update ids for.
    market["GEKKO_VENUE_SESSION_S"] = "7200"
    stack = Stack(Path(tempfile.mkdtemp(prefix="gekko-bench-")), extra=market)
    try:
        begun = time.monotonic()
        stack.start()
        print(f"up in {time.monotonic() - begun:.0f} s on {os.cpu_count()} cores")
        desk = Desk(stack)
        with desk.http:
            desk.sign_in()
            desk.stop_run("make room for a brisk one")
            desk.start_run(BRISK)
            measure_orders(stack, told.orders)
            measure_reads(desk)
    finally:
        stack.stop()
        shutil.rmtree(stack.state, ignore_errors=True)


if __name__ == "__main__":
    main()
