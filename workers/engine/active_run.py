"""A run that is on: its strategy, which of its hooks are its own, and when it asks for forecasts."""

from __future__ import annotations

from typing import Any

from workers.engine.accounting.records import Run
from workers.engine.forecast_batch import ForecastBatch
from workers.engine.strategy import Strategy, overrides


class ActiveRun:
    """One strategy at work on the instruments of its run; no other run trades these."""

    __slots__ = (
        "batch",
        "hears_bar",
        "hears_order",
        "hears_timer",
        "hears_top",
        "hears_trade",
        "lookback",
        "run",
        "strategy",
    )

    def __init__(self, run: Run, strategy: Strategy[Any], grace_ns: int) -> None:
        self.run = run
        self.strategy = strategy
        self.lookback = strategy.lookback
        """Closes that its forecasts need, 0 for none."""
        self.batch = ForecastBatch(grace_ns)
        self.hears_bar = overrides(strategy, "on_bar")
        self.hears_top = overrides(strategy, "on_top")
        self.hears_trade = overrides(strategy, "on_trade")
        self.hears_timer = overrides(strategy, "on_timer")
        self.hears_order = overrides(strategy, "on_order")
