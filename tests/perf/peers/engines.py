"""EMA 10/20 on the same bars in other engines, run inside ``.venv-peers``: one engine per process, result as JSON.

    .venv-peers/bin/python tests/perf/peers/engines.py ENGINE bars.npz out.json FAST SLOW

Long or flat, all decisions at the close, fills at the open of the next bar, fee 0.1 % of the value. No engine may look
at a bar before ``SLOW`` bars are known, and none closes the last position by itself. Averages start at the first close.
"""

# mypy: disable-error-code="import-not-found, import-untyped"
from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 1.0
CASH = 100_000.0
FEE = 0.001
Trades = list[tuple[int, int, float, float]]
"""Entry and exit bar, entry and exit price."""


def averages(closes: list[float], length: int) -> list[float]:
    """Exponential average that starts at the first close."""
    weight, value, out = 2.0 / (length + 1), closes[0], []
    for place, close in enumerate(closes):
        value = close if place == 0 else value + (close - value) * weight
        out.append(value)
    return out


def with_backtesting(bars: dict[str, Any], fast: int, slow: int) -> tuple[Trades, float]:
    """backtesting.py: vectorised indicators, an event loop over bars."""
    import pandas as pd
    from backtesting import Backtest, Strategy

    index = pd.to_datetime(bars["start"])
    frame = pd.DataFrame({name.title(): bars[name] for name in ("open", "high", "low", "close", "volume")}, index=index)

    class Cross(Strategy):  # type: ignore[misc]  # the package is in another environment
        def init(self) -> None:
            closes = [float(close) for close in self.data.Close]
            self.fast = self.I(lambda: np.array(averages(closes, fast)), plot=False)
            self.slow = self.I(lambda: np.array(averages(closes, slow)), plot=False)

        def next(self) -> None:
            if len(self.data) < slow:
                return
            above = self.fast[-1] > self.slow[-1]
            if above and not self.position:
                self.buy(size=1)
            elif not above and self.position:
                self.position.close()

    test = Backtest(frame, Cross, cash=CASH, commission=FEE, trade_on_close=False, exclusive_orders=False)
    begun = time.process_time()
    stats = test.run()
    spent = time.process_time() - begun
    done = stats["_trades"]
    last = len(frame) - 1
    rows = zip(done.EntryBar, done.ExitBar, done.EntryPrice, done.ExitPrice, strict=True)
    # What is open at the end is closed by the package on the last close: that is no trade of the strategy.
    return [
        (int(a), int(b), float(c), float(d)) for a, b, c, d in rows if not (b == last and d == bars["close"][-1])
    ], spent


def with_backtrader(bars: dict[str, Any], fast: int, slow: int) -> tuple[Trades, float]:
    """backtrader: everything bar by bar."""
    import backtrader as bt
    import pandas as pd

    index = pd.to_datetime(bars["start"])
    frame = pd.DataFrame({name: bars[name] for name in ("open", "high", "low", "close", "volume")}, index=index)
    trades: Trades = []

    class Cross(bt.Strategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self.values: list[float] = []
            self.pending: Any = None
            self.entry: tuple[int, float] | None = None

        def notify_order(self, order: Any) -> None:
            if order.status == order.Completed:
                place = len(self) - 1
                if order.isbuy():
                    self.entry = (place, order.executed.price)
                elif self.entry is not None:
                    trades.append((self.entry[0], place, self.entry[1], order.executed.price))
            if order.status not in (order.Submitted, order.Accepted):
                self.pending = None

        def next(self) -> None:
            close = float(self.data.close[0])
            if not self.values:
                self.values = [close, close]
            else:
                self.values[0] += (close - self.values[0]) * 2.0 / (fast + 1)
                self.values[1] += (close - self.values[1]) * 2.0 / (slow + 1)
            if len(self) < slow or self.pending is not None:
                return
            above = self.values[0] > self.values[1]
            if above and not self.position.size:
                self.pending = self.buy(size=1)
            elif not above and self.position.size:
                self.pending = self.sell(size=self.position.size)

    engine = bt.Cerebro(stdstats=False)
    engine.addstrategy(Cross)
    engine.adddata(bt.feeds.PandasData(dataname=frame))
    engine.broker.setcash(CASH)
    engine.broker.setcommission(commission=FEE)
    begun = time.process_time()
    engine.run(runonce=False)
    return trades, time.process_time() - begun


def with_nautilus(bars: dict[str, Any], fast: int, slow: int) -> tuple[Trades, float]:
    """nautilus_trader: bar execution fills market orders at the close that decided, so only its speed is compared."""
    from decimal import Decimal

    import pandas as pd
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.examples.strategies.ema_cross_long_only import EMACrossLongOnly, EMACrossLongOnlyConfig
    from nautilus_trader.model.currencies import ETH, USDT
    from nautilus_trader.model.data import BarType
    from nautilus_trader.model.enums import AccountType, OmsType
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money
    from nautilus_trader.persistence.wranglers import BarDataWrangler
    from nautilus_trader.test_kit.providers import TestInstrumentProvider

    engine = BacktestEngine(config=BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    instrument = TestInstrumentProvider.ethusdt_binance()
    engine.add_venue(
        venue=Venue("BINANCE"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        base_currency=None,
        starting_balances=[Money(CASH * 10, USDT), Money(0, ETH)],
    )
    engine.add_instrument(instrument)
    kind = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    index = pd.to_datetime(bars["start"], utc=True)
    frame = pd.DataFrame({name: bars[name] for name in ("open", "high", "low", "close", "volume")}, index=index)
    engine.add_data(BarDataWrangler(kind, instrument).process(frame))
    config = EMACrossLongOnlyConfig(
        instrument_id=instrument.id,
        bar_type=kind,
        fast_ema_period=fast,
        slow_ema_period=slow,
        trade_size=Decimal(1),
    )
    engine.add_strategy(EMACrossLongOnly(config=config))
    begun = time.process_time()
    engine.run()
    spent = time.process_time() - begun
    closed = len(engine.cache.positions_closed()) + len(engine.cache.position_snapshots())
    return [(0, 0, 0.0, 0.0)] * closed, spent


ENGINES = {"backtesting": with_backtesting, "backtrader": with_backtrader, "nautilus_trader": with_nautilus}


def main() -> None:
    """Run one engine and write its trades and CPU seconds."""
    name, source, target, fast, slow = sys.argv[1:6]
    with np.load(source) as stored:
        bars = {key: stored[key] for key in stored.files}
    trades, spent = ENGINES[name](bars, int(fast), int(slow))
    Path(target).write_text(json.dumps({"trades": trades, "cpu_s": spent}))


if __name__ == "__main__":
    main()
