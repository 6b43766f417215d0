"""From a market event on our socket to the order's bytes leaving, stage by stage, at 1,000 events a second.

The paper venue runs in a process of its own; the loop is the real one, with its journal on the disk. ``--venues`` plays
so many venues in that process, of which one loop trades all; ``--seconds``, ``--events`` (of all venues together) and
``--every`` (an order on every n-th quote) change the load. Run: ``python -m tests.perf.bench_loop``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from tests.support.execution import SYMBOLS, Desk, PaperVenue, at_beta, desired, published, within
from tests.support.kernels import LIMITS
from workers.engine.desk import Desk as KernelDesk
from workers.engine.events import TopOfBook
from workers.engine.execution.plan import take
from workers.engine.risk.gate import OrderRequest
from workers.engine.strategy import Params, Strategy, register
from workers.engine.vocabulary import FeedState, Side
from workers.live.execution.host import SWITCH_INTERVAL_S
from workers.live.execution.metrics import STAGES, StageClock
from workers.live.paper_venue.config import MarketKind, VenueConfig
from workers.live.paper_venue.profiles import parse
from workers.live.paper_venue.server import run as run_venue

WARM_UP_S = 3.0
START_S = 60.0


class PulseParams(Params, frozen=True):
    """``every``: an order on every n-th quote."""

    every: int = 20


@register("bench_pulse", PulseParams)
class Pulse(Strategy[PulseParams]):
    """Buys and sells the smallest amounts in turn, so that every order is caused by a quote."""

    def __init__(self, params: PulseParams) -> None:
        super().__init__(params)
        self.quotes = 0

    def on_top(self, desk: KernelDesk, top: TopOfBook) -> None:
        self.quotes += 1
        market = desk.market(top.symbol)
        if self.quotes % self.params.every or market.feed is not FeedState.LIVE or desk.busy(top.symbol):
            return
        instrument = desk.instrument(top.symbol)
        lots = max(int(20 / float(instrument.price(top.ask)) / float(instrument.lot)), instrument.min_lots)
        side = Side.SELL if desk.position(top.symbol) > lots else Side.BUY
        placed = take(side, bid=top.bid, ask=top.ask, offset_ticks=5)
        desk.order(
            OrderRequest(
                symbol=top.symbol,
                side=side,
                lots=lots,
                price=placed.price,
                order_type=placed.order_type,
                tif=placed.tif,
            )
        )


def _serve(folder: str, port: int, events: float, others: tuple[str, ...]) -> None:
    run_venue(
        VenueConfig(
            state_dir=Path(folder),
            port=port,
            market=MarketKind.SYNTHETIC,
            events_per_second=events / (1 + len(others)),
            venues=parse(",".join(f"{name}:beta" for name in others)),
            weight_limit=10**9,
            order_limit=10**9,
        )
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    """Until the venue listens."""
    end = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


async def _measure(
    folder: Path, url: str, others: tuple[str, ...], seconds: float, every: int
) -> tuple[StageClock, dict[str, Any]]:
    accesses = (at_beta(PaperVenue(f"{url}/venues/{name}"), name, symbols=SYMBOLS) for name in others)
    desk = Desk(folder / "journal", url, others=tuple(accesses))
    desk.forecasts.silent = True
    limits = {**LIMITS, "max_orders_per_second": "1000", "max_daily_loss": "90000", "max_drawdown": "90000"}
    base = desired()
    traded = [*SYMBOLS, *(f"{symbol}@{name}" for name in others for symbol in SYMBOLS)]
    plan = {**base.runs[0], "strategy": "bench_pulse", "params": {"every": every}, "instruments": traded}
    desk.wanted = type(base)(
        control=base.control,
        limits=published(limits),
        runs=[plan],
    )
    await within(START_S, desk.loop.ready.is_set)
    await desk.start()
    await within(START_S, lambda: desk.loop.reconciled and desk.books.fills >= 1)
    gc.collect()
    gc.freeze()
    await asyncio.sleep(WARM_UP_S)
    desk.loop.stages.forget()
    events, orders = _events(desk), len(desk.books.orders)
    await asyncio.sleep(seconds)
    found = desk.loop.stages
    told = {
        "events_per_s": round((_events(desk) - events) / seconds),
        "orders": len(desk.books.orders) - orders,
        "denied": dict(desk.books.denied),
        "gaps": desk.loop.kernel.gaps,
    }
    await desk.stop()
    return found, told


def _events(desk: Desk) -> int:
    return sum(session.feed.events for session in desk.loop.venues if session.feed is not None)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--events", type=float, default=1000.0)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--venues", type=int, default=1)
    asked, _ = parser.parse_known_args()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    load = os.getloadavg()[0]
    others = tuple(f"v{number}" for number in range(2, asked.venues + 1))
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="gekko-bench-") as name:
        folder = Path(name)
        venue = multiprocessing.get_context("spawn").Process(target=_serve, args=(name, port, asked.events, others))
        venue.start()
        try:
            _wait_for(port)
            stages, told = uvloop.run(_measure(folder, f"http://127.0.0.1:{port}", others, asked.seconds, asked.every))
        finally:
            venue.terminate()
            venue.join(5)
    where = f"{asked.venues} venues with {len(SYMBOLS)} instruments each"
    print(f"market event to order leaving, {where}, {told}, load {load:.1f} at start")
    print(f"{'stage':10} {'p50 ms':>9} {'p99 ms':>9} {'max ms':>9} {'count':>7}")
    quantiles = stages.quantiles()
    for stage in STAGES:
        if (row := quantiles.get(stage)) is not None:
            times = " ".join(f"{row[name] / 1e6:9.3f}" for name in ("p50_ns", "p99_ns", "max_ns"))
            print(f"{stage:10} {times} {row['count']:7d}")


if __name__ == "__main__":
    main()
