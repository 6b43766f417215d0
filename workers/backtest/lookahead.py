"""Does a strategy look ahead? What it decided must not change when the future is cut away.

The kernel shows a strategy one bar at a time, so it can only cheat with what it was given: parameters that were fitted
on the whole series, or a file that it reads itself. Both are made again from the shorter data before each run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pandas as pd

from workers.backtest.config import BacktestConfig, BacktestError
from workers.backtest.data import BarSeries
from workers.backtest.result import Result
from workers.backtest.run import run
from workers.engine.events import OrderDenied, OrderIntended

Prepare = Callable[[BarSeries], Mapping[str, Any]]
"""Makes parameters out of market data."""


class Decision(NamedTuple):
    """An order that was asked for; ``ts`` in ns, lots and ticks."""

    ts: int
    symbol: str
    side: str
    lots: int
    price: int

    def __str__(self) -> str:
        at = pd.Timestamp(self.ts, tz="UTC").isoformat()
        return f"{at} {self.side} {self.lots} lots of {self.symbol} at {self.price or 'market'}"


class Lookahead(NamedTuple):
    """``first`` is the decision that changed, in words with and without the future; empty when none did."""

    ok: bool
    cuts: int
    decisions: int
    first: str = ""


def decisions(result: Result) -> list[Decision]:
    """Every order that the strategy asked for, also those that the gate denied."""
    return [
        Decision(event.ts, event.symbol, event.side.name, event.lots, event.price)
        for event in result.journal.events
        if isinstance(event, OrderIntended | OrderDenied)
    ]


def check_lookahead(
    config: BacktestConfig,
    series: BarSeries,
    *,
    cuts: int = 5,
    prepare: Prepare | None = None,
    source: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> Lookahead:
    """Run on the whole series and on ``cuts`` beginnings of it; compare what both decided before each cut.

    ``prepare`` is called with the data of each run; a parameter that names ``source`` names a file of the shorter data.
    """
    if cuts < 1 or len(series) < config.warm + cuts + 2:
        raise BacktestError(f"expected at least one cut and more bars than that, was {cuts} of {len(series)} bars")
    whole = decisions(_run(config, series, prepare, source, full=True))
    span = len(series) - config.warm
    for number in range(1, cuts + 1):
        part = series.part(0, config.warm + span * number // (cuts + 1))
        end = int(part.start[-1]) + part.interval_ns
        short = decisions(_run(config, part, prepare, source, full=False))
        difference = _first_difference([one for one in whole if one.ts <= end], short)
        if difference:
            return Lookahead(ok=False, cuts=number, decisions=len(whole), first=difference)
        if progress is not None:
            progress(number / cuts)
    return Lookahead(ok=True, cuts=cuts, decisions=len(whole))


def _run(
    config: BacktestConfig, series: BarSeries, prepare: Prepare | None, source: Path | None, *, full: bool
) -> Result:
    params = {**config.params, **(prepare(series) if prepare else {})}
    if full or source is None:
        return run(msgspec.structs.replace(config, params=params), series)
    with tempfile.TemporaryDirectory() as folder:
        shorter = Path(folder) / "shorter.csv"
        _write(series, shorter)
        cut = {name: str(shorter) if str(value) == str(source) else value for name, value in params.items()}
        return run(msgspec.structs.replace(config, params=cut), series)


def _write(series: BarSeries, path: Path) -> None:
    tick, lot = series.instrument.tick, series.instrument.lot
    columns = {name: [value * tick for value in getattr(series, name).tolist()] for name in ("open", "high", "low")}
    frame = pd.DataFrame({"timestamp": pd.to_datetime(series.start, utc=True), **columns})
    frame["close"] = [value * tick for value in series.close.tolist()]
    frame["volume"] = [value * lot for value in series.volume.tolist()]
    frame.to_csv(path, index=False)


def _first_difference(whole: list[Decision], short: list[Decision]) -> str:
    for place in range(max(len(whole), len(short))):
        with_future = whole[place] if place < len(whole) else None
        without = short[place] if place < len(short) else None
        if with_future != without:
            return f"knowing the future: {with_future or 'nothing'}; without it: {without or 'nothing'}"
    return ""
