"""Kernel speed on SYNTHETIC bars: EMA cross with gate, order states and books for every bar, and the gate alone.

The fills come from the simplest possible venue, at the open of the next bar, so that what is measured is the kernel.
Run with ``python -m tests.perf.bench_kernel``.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from decimal import Decimal

import numpy as np

from workers.engine.config import DAY_NS, KernelConfig
from workers.engine.events import (
    BalanceAdopted,
    Bar,
    FeedStatus,
    OrderAccepted,
    OrderFilled,
    OrderSent,
    ReconciliationDone,
    TopOfBook,
)
from workers.engine.instruments import Instrument
from workers.engine.kernel import Kernel
from workers.engine.ports import Send
from workers.engine.risk.gate import OrderRequest, check
from workers.engine.risk.limits import limits_digest
from workers.engine.vocabulary import FeedState, OrderType, Side, TradingState

MINUTE_NS = 60_000_000_000
START_NS = 1_700_000_000 * 1_000_000_000 // MINUTE_NS * MINUTE_NS
SYMBOL = "SYNUSD"

INSTRUMENT = Instrument(
    venue="bench",
    symbol=SYMBOL,
    base="SYN",
    quote="USD",
    tick=Decimal("0.01"),
    lot=Decimal("0.00001"),
    min_lots=1,
    max_lots=10**12,
    min_notional=Decimal(1),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
)

LIMITS = {
    "max_order_qty": {SYMBOL: "100000"},
    "max_order_notional": "100000000",
    "max_position": {SYMBOL: "100000"},
    "max_gross_notional": "100000000",
    "max_open_orders": 10,
    "collar_bps": "100",
    "reference_max_age_ms": 60000,
    "forecast_max_age_bars": 2,
    "min_order_interval_ms": 0,
    "max_orders_per_second": "10",
    "burst": 10,
    "duplicate_window_ms": 1000,
    "max_daily_loss": "100000000",
    "max_drawdown": "100000000",
    "restricted": [],
    "snapshot_max_age_s": 10**9,
    "target_gross_fraction": "1",
}

PLAN = {
    "run_id": "bench",
    "release": "bench",
    "strategy": "ema_cross",
    "params": {},
    "model_digest": "",
    "limits_version": 1,
    "instruments": [SYMBOL],
    "interval_ns": MINUTE_NS,
}


def synthetic_bars(count: int) -> list[Bar]:
    """One-minute bars of a geometric Brownian motion, seed 7."""
    rng = np.random.default_rng(7)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.0005, count)))
    ticks = np.maximum(np.rint(closes * 100), 1).astype(int).tolist()
    bars, previous = [], ticks[0]
    for number, close in enumerate(ticks):
        end = START_NS + (number + 1) * MINUTE_NS
        bars.append(
            Bar(
                symbol=SYMBOL,
                ts_event=end,
                ts_recv=end,
                start=end - MINUTE_NS,
                interval_ns=MINUTE_NS,
                open=previous,
                high=max(previous, close),
                low=min(previous, close),
                close=close,
                volume=1000,
                trades=1,
            )
        )
        previous = close
    return bars


def ready_kernel(now: int, fast: int = 10, slow: int = 20) -> Kernel:
    """A kernel that trades the EMA cross with 100,000 USD."""
    kernel = Kernel(KernelConfig(max_pause_ns=0, mark_interval_ns=DAY_NS))
    kernel.open_session(now, epoch=1, venue="bench", worker="bench", instruments=[INSTRUMENT])
    kernel.activate_limits(now, version=1, digest=limits_digest(LIMITS), limits=LIMITS)
    kernel.on_report(BalanceAdopted(ts=now, asset="USD", total=100_000 * 10**8), now)
    kernel.on_report(ReconciliationDone(ts=now, ok=True, orders_checked=0, fills_adopted=0, breaks=()), now)
    kernel.set_state(now, state=TradingState.ACTIVE, reason="bench", by="bench", control_version=1)
    kernel.start_run(now, {**PLAN, "params": {"fast": fast, "slow": slow, "fraction": 0.02}})
    kernel.on_status(FeedStatus(symbol=SYMBOL, ts_event=now, ts_recv=now, state=FeedState.LIVE), now)
    return kernel


def run_bars(bars: list[Bar], fast: int = 10, slow: int = 20) -> tuple[float, Kernel]:
    """CPU seconds to trade the bars, and the kernel afterwards."""
    kernel = ready_kernel(bars[0].start, fast, slow)
    pending: list[Send] = []
    trade_id = 0
    begun = time.process_time()
    for bar in bars:
        if pending:
            for send in pending:
                trade_id += 1
                fill_pending(kernel, send, bar, trade_id)
            pending = []
        effects = kernel.on_bar(bar, bar.ts_event)
        if effects:
            pending = [effect for effect in effects if type(effect) is Send]
    return time.process_time() - begun, kernel


def fill_pending(kernel: Kernel, send: Send, bar: Bar, trade_id: int) -> None:
    """Sent, accepted and wholly filled at the open, with the fee in the quote asset."""
    intent, now = send.intent, bar.start
    kernel.on_report(OrderSent(ts=now, client_id=intent.client_id, stages={}), now)
    kernel.on_report(OrderAccepted(ts=now, client_id=intent.client_id, venue_order_id=str(trade_id)), now)
    fee = bar.open * intent.lots * INSTRUMENT.lot_value // 10**8 // 1000
    kernel.on_report(
        OrderFilled(
            ts=now,
            client_id=intent.client_id,
            trade_id=trade_id,
            symbol=SYMBOL,
            side=intent.side,
            lots=intent.lots,
            price=bar.open,
            fee=fee,
            fee_asset="USD",
            maker=False,
            ts_event=now,
        ),
        now,
    )


def bench_gate(count: int = 20_000) -> tuple[float, float]:
    """Median and 99th percentile of one full gate check, in microseconds."""
    bars = synthetic_bars(2)
    kernel = ready_kernel(bars[0].start)
    kernel.on_bar(bars[0], bars[0].ts_event)
    state = kernel.desk.risk
    order = OrderRequest(symbol=SYMBOL, side=Side.BUY, lots=100_000, price=bars[0].close, order_type=OrderType.LIMIT)
    spans = []
    for number in range(count):
        begun = time.perf_counter_ns()
        verdict = check(order, f"gk1-000000000000-1-{number}", state, bars[0].ts_event)
        spans.append(time.perf_counter_ns() - begun)
        assert not verdict.reasons
    spans.sort()
    return spans[count // 2] / 1000, spans[count * 99 // 100] / 1000


def bench_tops(count: int = 200_000) -> float:
    """Quotes per second of CPU time: mark, valuation and loss watch with a position, and a strategy that listens."""
    bars = synthetic_bars(40)
    now = bars[-1].ts_event
    kernel = ready_kernel(bars[0].start)
    kernel.on_bar(bars[0], bars[0].ts_event)
    order = OrderRequest(symbol=SYMBOL, side=Side.BUY, lots=100_000, order_type=OrderType.MARKET)
    assert kernel.desk.order(order) is not None
    bought = next(effect for effect in kernel.on_timer(bars[0].ts_event) if isinstance(effect, Send))
    fill_pending(kernel, bought, bars[1], 1)
    assert kernel.desk.position(SYMBOL) == 100_000
    kernel.stop_run(now, reason="bench")
    kernel.start_run(now, {**PLAN, "run_id": "tops", "strategy": "forecast_portfolio", "params": {}})
    tops = [
        TopOfBook(
            symbol=SYMBOL,
            ts_event=now + number * 1_000_000,
            ts_recv=now + number * 1_000_000,
            update_id=number,
            bid=9_990 + number % 7,
            bid_lots=1000,
            ask=10_010 + number % 5,
            ask_lots=1000,
        )
        for number in range(count)
    ]
    begun = time.process_time()
    for top in tops:
        kernel.on_top(top, top.ts_recv)
    return count / (time.process_time() - begun)


RUNS = ((100_000, 10, 20), (50_000, 10, 20), (500_000, 10, 20), (50_000, 5, 10), (500_000, 5, 10))
"""Bars, fast and slow average."""


def bench_bars(rounds: int = 3) -> dict[tuple[int, int, int], tuple[float, int]]:
    """Best bars per second of CPU time and number of orders by run; rounds alternate, so that load hits all alike."""
    longest = synthetic_bars(max(count for count, _, _ in RUNS))
    best: dict[tuple[int, int, int], tuple[float, int]] = {}
    for _ in range(rounds):
        for run in RUNS:
            count, fast, slow = run
            seconds, kernel = run_bars(longest[:count], fast, slow)
            best[run] = max(best.get(run, (0.0, 0)), (count / seconds, len(kernel.books.orders)))
    return best


def main() -> None:
    """Print the table."""
    gc.collect()
    gc.freeze()
    write = sys.stdout.write
    write(f"SYNTHETIC one-minute bars, EMA cross, load average {os.getloadavg()[0]:.1f}\n")
    best = bench_bars()
    for (count, fast, slow), (rate, orders) in best.items():
        write(f"EMA {fast:>2}/{slow}  {count:>9,} bars  {rate:>10,.0f} bars/s of CPU time  {orders:>7,} orders\n")
    for fast, slow in ((10, 20), (5, 10)):
        ratio = best[500_000, fast, slow][0] / best[50_000, fast, slow][0]
        write(f"EMA {fast}/{slow}: rate at 500,000 bars over rate at 50,000: {ratio:.2f}\n")
    write(f"best bid and ask through the kernel: {bench_tops():,.0f} a second of CPU time\n")
    p50, p99 = bench_gate()
    write(f"pre-trade gate: p50 {p50:.1f} us, p99 {p99:.1f} us, 20,000 checks\n")


if __name__ == "__main__":
    main()
