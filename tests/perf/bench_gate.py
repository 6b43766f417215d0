"""Speed of the pre-trade gate on SYNTHETIC accounts: bare, and with every optional limit, over more and more of each.

Run with ``python -m tests.perf.bench_gate``.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from decimal import Decimal
from typing import Any, Final

from workers.engine import events as e
from workers.engine.config import DAY_NS, SECOND_NS, KernelConfig
from workers.engine.instruments import Instrument
from workers.engine.kernel import Kernel
from workers.engine.risk.gate import OrderRequest, check
from workers.engine.risk.limits import limits_digest
from workers.engine.risk.var_snapshot import VarSnapshot
from workers.engine.vocabulary import FeedState, OrderType, Side, TimeInForce, TradingState

START: Final = 1_750_032_000 * SECOND_NS
BASE: Final[dict[str, Any]] = {
    "max_order_qty": {},
    "max_order_notional": "1000000",
    "max_position": {},
    "max_gross_notional": "100000000",
    "max_open_orders": 1000,
    "collar_bps": 100,
    "reference_max_age_ms": 60000,
    "forecast_max_age_bars": 2,
    "min_order_interval_ms": 0,
    "max_orders_per_second": 1000,
    "burst": 1000,
    "duplicate_window_ms": 0,
    "max_daily_loss": "100000000",
    "max_drawdown": "100000000",
    "restricted": [],
    "snapshot_max_age_s": 86400,
    "target_gross_fraction": "1",
}
LARGE: Final = "100000000"
SCOPED: Final = {"max_order_notional": LARGE, "max_gross_notional": LARGE, "max_open_orders": 1000}
FOLLOWED: Final = {"max_orders_per_day": 100_000, "max_turnover_per_day": LARGE, "max_drawdown": LARGE}
FULL: Final[dict[str, Any]] = {
    **BASE,
    "self_trade_prevention": True,
    "max_spread_bps": 100,
    "min_cash": "1",
    "max_net_notional": LARGE,
    "max_leverage": "10",
    "max_concentration_bps": 100_000,
    "max_currency_notional": {"C0": LARGE},
    "max_venue_notional": {"bench": LARGE},
    "max_orders_per_day": 100_000,
    "max_turnover_per_day": LARGE,
    "max_repeated_executions": 1000,
    "max_order_volume_bps": 10_000,
    "max_participation_bps": 10_000,
    "max_var": LARGE,
    "desks": {"alpha": ["ema_cross"]},
    "scopes": {
        "firm": {**SCOPED, **FOLLOWED},
        "desk:alpha": {**SCOPED, **FOLLOWED},
        "strategy:ema_cross": {**SCOPED, **FOLLOWED},
        "instrument:C0USD": SCOPED,
        "venue:bench": SCOPED,
    },
}


def instrument(number: int) -> Instrument:
    return Instrument(
        venue="bench",
        symbol=f"C{number}USD",
        base=f"C{number}",
        quote="USD",
        tick=Decimal("0.01"),
        lot=Decimal("0.001"),
        min_lots=1,
        max_lots=10**12,
        min_notional=Decimal(1),
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
    )


def account(limits: dict[str, Any], instruments: int, resting: int) -> Kernel:
    """A kernel that holds every instrument and has ``resting`` open buys, spread over them."""
    items = [instrument(number) for number in range(instruments)]
    kernel, now = Kernel(KernelConfig(max_pause_ns=0, mark_interval_ns=DAY_NS)), START
    kernel.open_session(now, epoch=1, venue="bench", worker="bench", instruments=items)
    kernel.activate_limits(now, version=1, digest=limits_digest(limits), limits=limits)
    kernel.on_report(e.BalanceAdopted(ts=now, asset="USD", total=10_000_000 * 10**8), now)
    for item in items:
        kernel.on_report(e.BalanceAdopted(ts=now, asset=item.base, total=10 * 10**8), now)
    kernel.on_report(e.ReconciliationDone(ts=now, ok=True, orders_checked=0, fills_adopted=0, breaks=()), now)
    kernel.set_state(now, state=TradingState.ACTIVE, reason="bench", by="bench", control_version=1)
    symbols = tuple(item.symbol for item in items)
    covariance = tuple(tuple(0.0004 if i == j else 0.0001 for j in range(instruments)) for i in range(instruments))
    made = VarSnapshot(symbols=symbols, covariance=covariance, horizon_ns=DAY_NS, confidence=0.99, as_of=now)
    kernel.set_var_snapshot(now, made)
    plan = {"run_id": "bench", "release": "b", "strategy": "ema_cross", "params": {}, "limits_version": 1}
    kernel.start_run(now, {**plan, "instruments": symbols, "interval_ns": 60 * SECOND_NS})
    for symbol in symbols:
        at: dict[str, Any] = {"symbol": symbol, "ts_event": now, "ts_recv": now}
        kernel.on_status(e.FeedStatus(**at, state=FeedState.LIVE), now)
        kernel.on_top(e.TopOfBook(**at, update_id=1, bid=99_99, bid_lots=10**6, ask=100_01, ask_lots=10**6), now)
        kernel.on_trade(e.Trade(**at, trade_id=1, price=100_00, lots=10**9, aggressor=Side.BUY), now)
    for number in range(resting):
        kernel.desk.markets[symbols[number % instruments]].denied = 0
        placed = kernel.desk.order(order(symbols[number % instruments], 1000 + number, 99_50))
        assert placed is not None
    return kernel


def near(kernel: Kernel, instruments: int) -> dict[str, Any]:
    """Every limit, and a value at risk so close to its own that all pairs of instruments have to be summed."""
    state = kernel.desk.risk
    assert state.var is not None
    crude = state.var.z * state.var.widest * state.valuation.gross / 10**16
    return {**FULL, "max_var": str(round(crude * (0.9 if instruments > 2 else 0.95)))}


def order(symbol: str, lots: int, price: int) -> OrderRequest:
    return OrderRequest(
        symbol=symbol, side=Side.BUY, lots=lots, price=price, order_type=OrderType.LIMIT, tif=TimeInForce.GTC
    )


def measure(kernel: Kernel, count: int = 5000) -> list[float]:
    """Median and 99th percentile of one passing check in microseconds: by the clock, and of CPU time."""
    proposed, state = order("C0USD", 100, 100_00), kernel.desk.risk
    found = []
    for clock in (time.perf_counter_ns, time.thread_time_ns):
        spans = []
        for number in range(count):
            begun = clock()
            verdict = check(proposed, f"gk1-000000000000-1-{number}", state, START)
            spans.append(clock() - begun)
            assert not verdict.reasons, verdict.reasons
        spans.sort()
        found += [spans[count // 2] / 1000, spans[count * 99 // 100] / 1000]
    return found


def main() -> None:
    """Print the table."""
    write = sys.stdout.write
    write(f"pre-trade gate, SYNTHETIC accounts, passing orders, load average {os.getloadavg()[0]:.1f}\n")
    for name, limits in (("required limits", BASE), ("every limit there is", FULL), ("all, VaR near its own", None)):
        for instruments, resting in ((1, 0), (2, 5), (10, 20), (20, 100), (50, 100)):
            if limits is None and instruments == 1:
                continue
            kernel = account(limits or FULL, instruments, resting)
            if limits is None:
                close = near(kernel, instruments)
                kernel.activate_limits(START, version=2, digest=limits_digest(close), limits=close)
            # As the live process does once it is ready: the collector need not walk the books in the middle of trading.
            gc.collect()
            gc.freeze()
            p50, p99, cpu50, cpu99 = measure(kernel)
            write(
                f"{name:<21} {instruments:>3} instruments {resting:>4} open orders  p50 {p50:6.1f}  p99 {p99:7.1f} us"
            )
            write(f"   CPU p50 {cpu50:6.1f}  p99 {cpu99:6.1f} us\n")


if __name__ == "__main__":
    main()
