"""Backtests: the kernel of live trading on recorded data, a simulated clock and the paper venue's matching engine.

In a notebook::

    from workers.backtest import load_bars, run

    result = run("ema_cross", load_bars("btc_1m.csv.gz"), {"fast": 10, "slow": 20}, capital=50_000)
    result.summary, result.trades, result.equity_frame, result.orders, result.positions, result.fingerprint

See docs/backtest.md.
"""

from workers.backtest.config import BacktestConfig, BacktestError, Delay, Latency
from workers.backtest.data import BarSeries, load_bars
from workers.backtest.recordings import load_recording
from workers.backtest.result import Result
from workers.backtest.run import run

__all__ = [
    "BacktestConfig",
    "BacktestError",
    "BarSeries",
    "Delay",
    "Latency",
    "Result",
    "load_bars",
    "load_recording",
    "run",
]
