"""Bars to test on: from a file, a data frame or plain arrays, checked, on the instrument's grid, with a digest.

Nothing is filled in: a missing bar stays missing and is counted in ``gaps``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workers.backtest.config import BacktestError
from workers.engine.events import Bar
from workers.engine.instruments import GridError, Instrument

Ints = NDArray[np.int64]
PRICES: Final = ("open", "high", "low", "close")
TIME_NAMES: Final = ("timestamp", "time", "date", "datetime", "open_time", "start", "ts", "gmt time", "date_time")
QUOTES: Final = ("USDT", "USDC", "USD", "EUR", "GBP", "JPY", "BTC", "ETH")
MOST_DECIMALS: Final = 8


@dataclass(frozen=True)
class BarSeries:
    """Bars of one instrument, oldest first: starts in ns, prices in ticks, volumes in lots."""

    instrument: Instrument
    interval_ns: int
    start: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over symbol, grid, interval and every bar."""
        named = self.instrument
        made = hashlib.sha256(f"{named.symbol} {named.tick} {named.lot} {self.interval_ns}".encode())
        for column in (self.start, self.open, self.high, self.low, self.close, self.volume):
            made.update(column.astype("<i8").tobytes())
        return made.hexdigest()

    @property
    def gaps(self) -> int:
        """Bars that are missing between the first and the last."""
        return int(self.start[-1] - self.start[0]) // self.interval_ns + 1 - len(self)

    @cached_property
    def bars(self) -> list[Bar]:
        """The bars as market events."""
        symbol, nanos = self.instrument.symbol, self.interval_ns
        columns = (self.start, self.open, self.high, self.low, self.close, self.volume)
        return [
            Bar(
                symbol=symbol,
                ts_event=start + nanos,
                ts_recv=start + nanos,
                start=start,
                interval_ns=nanos,
                open=opened,
                high=high,
                low=low,
                close=close,
                volume=volume,
                trades=1 if volume else 0,
            )
            for start, opened, high, low, close, volume in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def part(self, first: int, last: int) -> BarSeries:
        """Bars ``first`` to ``last``, the last excluded."""
        span = slice(first, last)
        columns = (self.start, self.open, self.high, self.low, self.close, self.volume)
        return BarSeries(self.instrument, self.interval_ns, *(column[span] for column in columns))

    def between(self, start: int | None = None, end: int | None = None) -> BarSeries:
        """Bars that start at or after ``start`` and before ``end`` (ns); BacktestError when there is none."""
        first = 0 if start is None else int(np.searchsorted(self.start, start))
        last = len(self) if end is None else int(np.searchsorted(self.start, end))
        if first >= last:
            raise BacktestError(f"no bar of {self.instrument.symbol} between the times asked for; it has {self.span}")
        return self.part(first, last)

    @property
    def span(self) -> str:
        """First and last time in words."""
        first, last = pd.Timestamp(int(self.start[0])), pd.Timestamp(int(self.start[-1]) + self.interval_ns)
        return f"{first.isoformat()} to {last.isoformat()} UTC"


def load_bars(
    source: str | Path | pd.DataFrame | Mapping[str, Any],
    *,
    symbol: str = "",
    tick: str | Decimal | None = None,
    lot: str | Decimal | None = None,
) -> BarSeries:
    """Bars of a CSV (also gzipped), parquet or feather file, a data frame, or a mapping of columns.

    Columns are open, high, low, close, optionally volume (base asset), and a time, which may be the frame's index:
    ISO text (UTC where no zone is given), datetimes, or a number since 1970 in s, ms, us or ns; a bar is named by its
    start. Prices are rounded to ``tick``; without one it is found, the coarsest that holds every price exactly.
    BacktestError names column and row of what cannot be used.
    """
    frame, name = _frame(source)
    names = {str(column).lower(): column for column in frame.columns}
    missing = [column for column in PRICES if column not in names]
    if missing:
        raise BacktestError(f"{name}: expected columns {', '.join(PRICES)}, found {', '.join(names) or 'none'}")
    start = _times(frame, names, name)
    prices = {column: _numbers(frame[names[column]], column, name) for column in PRICES}
    grid = Decimal(str(tick)) if tick is not None else _tick_of(prices, name)
    instrument = _instrument(symbol or _symbol_of(name), grid, lot)
    ticks = {column: np.rint(values / float(grid)).astype(np.int64) for column, values in prices.items()}
    volume = _numbers(frame[names["volume"]], "volume", name) if "volume" in names else np.zeros(len(frame))
    lots = np.floor(np.nan_to_num(volume) / float(instrument.lot) + 1e-9).astype(np.int64)
    _check(start, ticks, name)
    opened, high, low, close = (ticks[column] for column in PRICES)
    return BarSeries(instrument, _interval(start, name), start, opened, high, low, close, lots)


def _frame(source: Any) -> tuple[pd.DataFrame, str]:
    if isinstance(source, pd.DataFrame):
        return source, "data frame"
    if isinstance(source, Mapping):
        return pd.DataFrame(dict(source)), "columns"
    path = Path(source)
    if not path.is_file():
        raise BacktestError(f"there is no file {path}")
    name = path.name.lower()
    if name.endswith(".parquet"):
        return pd.read_parquet(path), path.name
    if name.endswith((".feather", ".arrow")):
        return pd.read_feather(path), path.name
    if name.endswith((".csv", ".csv.gz", ".txt", ".txt.gz")):
        return pd.read_csv(path), path.name
    raise BacktestError(f"{path.name}: expected .csv, .csv.gz, .parquet or .feather")


def _times(frame: pd.DataFrame, names: Mapping[str, Any], name: str) -> Ints:
    found = next((names[wanted] for wanted in TIME_NAMES if wanted in names), None)
    if found is None and not isinstance(frame.index, pd.DatetimeIndex):
        raise BacktestError(f"{name}: expected a time in a column {', '.join(TIME_NAMES[:4])} or in the index")
    values = frame.index if found is None else frame[found]
    if pd.api.types.is_numeric_dtype(values):
        numbers = np.asarray(values, np.float64)
        size = float(np.abs(numbers).max(initial=0.0))
        unit = next((factor for least, factor in ((1e17, 1), (1e14, 10**3), (1e11, 10**6)) if size >= least), 10**9)
        return np.asarray(values, np.int64) * unit
    try:
        times = pd.to_datetime(values, utc=True, dayfirst=_day_first(values))
    except ValueError as error:
        raise BacktestError(f"{name}: expected times, {error}") from error
    index = pd.DatetimeIndex(times)
    return index.as_unit("ns").asi8.astype(np.int64)


def _day_first(values: Any) -> bool:
    first = str(values[0] if isinstance(values, pd.Index) else values.iloc[0]) if len(values) else ""
    return bool(re.match(r"\d{1,2}\.\d{1,2}\.\d{4}", first))


def _numbers(column: pd.Series, what: str, name: str) -> NDArray[np.float64]:
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    if what == "volume":
        return values
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if bad.size:
        row = int(bad[0])
        raise BacktestError(f"{name} row {row + 1}: expected finite positive {what}, was {column.iloc[row]}")
    return values


def _tick_of(prices: Mapping[str, NDArray[np.float64]], name: str) -> Decimal:
    values = np.concatenate(list(prices.values()))
    for places in range(MOST_DECIMALS + 1):
        scaled = values * 10**places
        if np.all(np.abs(scaled - np.rint(scaled)) < 1e-6):
            return Decimal(1).scaleb(-max(places, 2))
    raise BacktestError(f"{name}: prices have more than {MOST_DECIMALS} decimals; give a tick to round them to")


def _instrument(symbol: str, tick: Decimal, lot: str | Decimal | None) -> Instrument:
    quote = next((asset for asset in QUOTES if symbol.endswith(asset) and symbol != asset), "USD")
    base = symbol.removesuffix(quote).rstrip("-/_") or symbol
    decimals = max(-int(tick.as_tuple().exponent), 0)
    size = Decimal(str(lot)) if lot is not None else Decimal(1).scaleb(-min(max(MOST_DECIMALS - decimals, 0), 5))
    try:
        return Instrument(
            venue="simulated",
            symbol=symbol,
            base=base,
            quote=quote,
            tick=tick,
            lot=size,
            min_lots=1,
            max_lots=10**15,
            min_notional=Decimal(0),
            maker_fee=Decimal(0),
            taker_fee=Decimal(0),
        )
    except GridError as error:
        raise BacktestError(f"{symbol}: {error}") from error


def _symbol_of(name: str) -> str:
    words = re.split(r"[._\s]", name)[0].upper()
    letters = re.match(r"[A-Z]{2,6}[-/]?[A-Z]{3,4}", words)
    return letters.group().replace("/", "") if letters and letters.group() not in {"COLUMNS", "DATA"} else "SYNUSD"


def _check(start: Ints, ticks: Mapping[str, Ints], name: str) -> None:
    if len(start) < 2:
        raise BacktestError(f"{name}: expected at least two bars, found {len(start)}")
    back = np.flatnonzero(np.diff(start) <= 0)
    if back.size:
        row = int(back[0]) + 2
        raise BacktestError(f"{name} row {row}: expected times that rise, was {pd.Timestamp(int(start[row - 1]))}")
    low, high = ticks["low"], ticks["high"]
    wrong = (low > np.minimum(ticks["open"], ticks["close"])) | (high < np.maximum(ticks["open"], ticks["close"]))
    bad = np.flatnonzero(wrong | (low <= 0))
    if bad.size:
        row = int(bad[0])
        said = ", ".join(f"{column} {int(ticks[column][row])}" for column in PRICES)
        raise BacktestError(f"{name} row {row + 1}: expected 0 < low <= open, close <= high, was {said} (ticks)")


def _interval(start: Ints, name: str) -> int:
    steps, counts = np.unique(np.diff(start), return_counts=True)
    interval = int(steps[np.argmax(counts)])
    odd = np.flatnonzero(np.diff(start) < interval)
    if odd.size:
        row = int(odd[0]) + 2
        raise BacktestError(f"{name} row {row}: bars of {interval / 1e9:g} s overlap here")
    return interval
