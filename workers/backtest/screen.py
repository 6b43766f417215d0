"""Screening many parameters at once with whole arrays: EMA crosses, fills on the next open, a proportional fee.

It has no gate, no book and no cash limit, so it tells which parameters deserve a real backtest, no more. Entries and
exits are those of the strategy ``ema_cross``; a test compares them trade by trade.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

from workers.backtest.data import BarSeries

Floats = NDArray[np.float64]


class Crosses(NamedTuple):
    """Trades of one pair of averages: places of the bars on whose opens they begin and end."""

    entries: NDArray[np.intp]
    exits: NDArray[np.intp]


def average(closes: Floats, length: int) -> Floats:
    """Exponential average that starts at the first close, weight ``2 / (length + 1)``."""
    weight = 2.0 / (length + 1)
    smoothed, _ = lfilter([weight], [1.0, weight - 1.0], closes, zi=[(1.0 - weight) * closes[0]])
    return np.asarray(smoothed, np.float64)


def crosses(fast: Floats, slow: Floats, length: int) -> Crosses:
    """Where a position would be entered and left; none before ``length`` bars, none on what comes after the last."""
    above = fast > slow
    above[: length - 1] = False
    change = np.diff(above, prepend=False).nonzero()[0] + 1
    change = change[change < len(above)]
    return Crosses(change[0::2], change[1::2])


def ema_grid(series: BarSeries, fast: Iterable[int], slow: Iterable[int], *, fee: float = 0.001) -> pd.DataFrame:
    """One row per pair with fast below slow: trades, total return after fees, worst drawdown over trades, win rate.

    Returns compound over closed trades that each use the whole capital.
    """
    closes, opens = series.close.astype(np.float64), series.open.astype(np.float64)
    pairs = [(quick, slower) for quick in sorted(set(fast)) for slower in sorted(set(slow)) if quick < slower]
    averages = {length: average(closes, length) for length in {length for pair in pairs for length in pair}}
    rows = []
    for quick, slower in pairs:
        entries, exits = crosses(averages[quick], averages[slower], slower)
        gains = opens[exits] / opens[entries[: len(exits)]] * (1.0 - fee) ** 2
        worth = np.cumprod(np.append(1.0, gains))
        rows.append(
            {
                "fast": quick,
                "slow": slower,
                "trades": len(gains),
                "total_return": float(worth[-1] - 1.0),
                "max_drawdown": float((worth / np.maximum.accumulate(worth) - 1.0).min()),
                "win_rate": float(np.mean(gains > 1.0)) if len(gains) else float("nan"),
            }
        )
    return pd.DataFrame(rows, columns=["fast", "slow", "trades", "total_return", "max_drawdown", "win_rate"])
