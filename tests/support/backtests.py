"""Bars for backtests, made up under a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from workers.backtest import BarSeries, load_bars

MINUTE_NS = 60 * 10**9
BEGIN = 1_700_000_040 * 10**9


def columns(count: int = 2000, seed: int = 7, spread: float = 0.001) -> dict[str, Any]:
    """A random walk in cents with wicks and volume."""
    rng = np.random.default_rng(seed)
    closes = np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, spread, count))), 2)
    opens = np.round(np.concatenate([[100.0], closes[:-1]]) + rng.integers(-2, 3, count) * 0.01, 2)
    return {
        "timestamp": BEGIN + np.arange(count, dtype=np.int64) * MINUTE_NS,
        "open": opens,
        "high": np.round(np.maximum(opens, closes) + rng.integers(0, 5, count) * 0.01, 2),
        "low": np.round(np.minimum(opens, closes) - rng.integers(0, 5, count) * 0.01, 2),
        "close": closes,
        "volume": rng.integers(1, 50, count).astype(float),
    }


def walk(count: int = 2000, seed: int = 7, symbol: str = "SYNUSD") -> BarSeries:
    """The same as a series."""
    return load_bars(columns(count, seed), symbol=symbol, tick="0.01")


def flat(prices: list[tuple[float, float, float, float]], symbol: str = "SYNUSD") -> BarSeries:
    """Bars with these opens, highs, lows and closes."""
    opens, highs, lows, closes = (list(column) for column in zip(*prices, strict=True))
    starts = [BEGIN + place * MINUTE_NS for place in range(len(prices))]
    frame = {"timestamp": starts, "open": opens, "high": highs, "low": lows, "close": closes}
    return load_bars({**frame, "volume": [10.0] * len(prices)}, symbol=symbol, tick="0.01")
