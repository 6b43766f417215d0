"""Conditional orders held by the kernel: what a quote costs with some of them held, and from trigger to order.

SYNTHETIC quotes that move by a tick. ``python -m tests.perf.bench_conditionals``.
"""

from __future__ import annotations

import gc
import os
import time

import numpy as np

from tests.support.kernels import LIMITS, Rig
from workers.engine.events import TopOfBook
from workers.engine.execution.conditional_types import ConditionalKind, ConditionalRequest
from workers.engine.vocabulary import Side

SYMBOL = "BTCUSDT"
QUOTES = 20_000
WIDE = {**LIMITS, "collar_bps": 1000, "max_open_orders": 1000, "max_order_qty": {}, "max_position": {}}


def rig_with(held: int, *, trailing: bool = False) -> Rig:
    """A desk with a position and ``held`` stops below the market."""
    rig = Rig().open(limits=WIDE)
    rig.top(SYMBOL, 99_99, 100_01)
    bought = rig.order(SYMBOL, Side.BUY, 10_000_000 // 100, 100_01)
    if bought is None:
        raise RuntimeError("expected the opening order to pass")
    rig.accept(bought)
    rig.fill(bought, 100_000, 100_00)
    kind = ConditionalKind.TRAILING_STOP if trailing else ConditionalKind.STOP
    for number in range(held):
        request = ConditionalRequest(
            symbol=SYMBOL,
            side=Side.SELL,
            lots=20_000,
            kind=kind,
            trigger=95_00 - number % 50,
            trail_ticks=500 if trailing else 0,
            reduce_only=True,
        )
        if rig.kernel.desk.hold(request) is None:
            raise RuntimeError(f"expected stop {number} to be held")
    rig.take(rig.kernel.on_timer(rig.now))
    return rig


def quote(rig: Rig, bid: int) -> TopOfBook:
    """A quote of now."""
    return TopOfBook(
        symbol=SYMBOL,
        ts_event=rig.now,
        ts_recv=rig.now,
        update_id=1,
        bid=bid,
        bid_lots=10**6,
        ask=bid + 2,
        ask_lots=10**6,
    )


def per_quote(rig: Rig) -> list[int]:
    """Nanoseconds of each quote."""
    quotes = [quote(rig, 99_95 + n % 9) for n in range(QUOTES)]
    taken: list[int] = []
    gc.collect()
    gc.disable()
    for top in quotes:
        begun = time.perf_counter_ns()
        rig.kernel.on_top(top, rig.now)
        taken.append(time.perf_counter_ns() - begun)
    gc.enable()
    return taken


def to_order() -> list[int]:
    """Nanoseconds from the quote that fires to the order's effects."""
    taken: list[int] = []
    for _ in range(300):
        rig = rig_with(1)
        top = quote(rig, 94_00)
        begun = time.perf_counter_ns()
        effects = rig.kernel.on_top(top, rig.now)
        taken.append(time.perf_counter_ns() - begun)
        rig.take(effects)
        if not rig.sent[-1].intent.conditional_id:
            raise RuntimeError("expected the stop to release an order")
    return taken


def row(what: str, taken: list[int]) -> str:
    """One line of the table, in microseconds."""
    p50, p99 = np.percentile(taken, [50, 99]) / 1000
    return f"{what:<36}{p50:>9.1f}{p99:>9.1f}{len(taken):>9}{os.getloadavg()[0]:>7.1f}"


def main() -> None:
    """Print the table."""
    print(f"{'':<36}{'p50 us':>9}{'p99 us':>9}{'count':>9}{'load':>7}")
    for held in (0, 1, 10, 100):
        print(row(f"quote with {held} stops held", per_quote(rig_with(held))))
    print(row("quote with 10 trailing stops held", per_quote(rig_with(10, trailing=True))))
    print(row("trigger to order, with its records", to_order()))


if __name__ == "__main__":
    main()
