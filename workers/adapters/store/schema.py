"""What is stored: bars, trades and quotes as integer columns with their tick and lot.

One file is one venue, instrument and day (a year for bars of an hour and longer), below
``<kind>/venue=V/instrument=I[/interval=1m]/date=YYYY-MM-DD/data.parquet``. ``date`` is that of the UTC start.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
UNIT: Final = pa.decimal128(20, 10)

INTERVALS: Final = {
    "1s": SECOND_NS,
    "5s": 5 * SECOND_NS,
    "1m": 60 * SECOND_NS,
    "3m": 180 * SECOND_NS,
    "5m": 300 * SECOND_NS,
    "15m": 900 * SECOND_NS,
    "30m": 1800 * SECOND_NS,
    "1h": 3600 * SECOND_NS,
    "2h": 7200 * SECOND_NS,
    "4h": 14_400 * SECOND_NS,
    "1d": DAY_NS,
}
NAMES: Final = {length: name for name, length in INTERVALS.items()}


class StoreError(ValueError):
    """Data that cannot be stored or is not there; the message says what to do."""


class Kind(StrEnum):
    """What a file holds."""

    BARS = "bars"
    TRADES = "trades"
    QUOTES = "quotes"


COLUMNS: Final = {
    Kind.BARS: ("start_ns", "open", "high", "low", "close", "volume", "trades"),
    Kind.TRADES: ("ts_ns", "trade_id", "price", "lots", "side", "recv_ns"),
    Kind.QUOTES: ("ts_ns", "bid", "ask", "bid_lots", "ask_lots", "recv_ns"),
}
PRICES: Final = frozenset({"open", "high", "low", "close", "price", "bid", "ask"})
LOTS: Final = frozenset({"volume", "lots", "bid_lots", "ask_lots"})
KEYS: Final = {
    Kind.BARS: ("start_ns",),
    Kind.TRADES: ("ts_ns", "trade_id", "price", "lots", "side"),
    Kind.QUOTES: ("ts_ns", "bid", "ask", "bid_lots", "ask_lots"),
}
"""What makes two rows the same; a bar of the same start with other values is a contradiction."""


def schema(kind: Kind) -> pa.Schema:
    """Arrow schema of a file."""
    fields = [(name, pa.int64()) for name in COLUMNS[kind]]
    return pa.schema([*fields, ("tick", UNIT), ("lot", UNIT)])


def time_column(kind: Kind) -> str:
    """Name of the column that places a row."""
    return COLUMNS[kind][0]


def interval_ns(name: str) -> int:
    """Nanoseconds of an interval's name; StoreError for one that is not known."""
    if name not in INTERVALS:
        raise StoreError(f"expected an interval among {', '.join(INTERVALS)}, was {name!r}")
    return INTERVALS[name]


def interval_name(length_ns: int) -> str:
    """Name of an interval; StoreError for a length without one."""
    if length_ns not in NAMES:
        seconds = length_ns / SECOND_NS
        raise StoreError(f"expected bars of {', '.join(INTERVALS)}, was {seconds:g} s; give the interval by --interval")
    return NAMES[length_ns]
