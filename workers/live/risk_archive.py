"""Closes of the named windows from the Parquet store: what was downloaded or imported, by whichever venue it came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import structlog

from workers.adapters.store.parquet_store import SeriesKey, Store
from workers.adapters.store.schema import DAY_NS, Kind, StoreError, interval_ns
from workers.engine.instruments import split_key
from workers.engine.risk.stress import Prices, Window

log = structlog.get_logger(__name__)


def stored_closes(symbols: Iterable[str], windows: Sequence[Window], root: Path | None = None) -> dict[str, Prices]:
    """Daily closes of ``windows`` by symbol; without those that have none. A series that cannot be read is left out."""
    store = Store(root)
    bars = [key for key in store.series() if key.kind is Kind.BARS and interval_ns(key.interval) <= DAY_NS]
    made: dict[str, Prices] = {}
    for symbol in symbols:
        # The coarsest first: it is the quickest to read.
        keys = sorted(
            (key for key in bars if plain(key.instrument) == plain(split_key(symbol)[0])),
            key=lambda key: (-interval_ns(key.interval), key.venue),
        )
        closes: dict[int, float] = {}
        for window in windows:
            closes |= next((found for key in keys if (found := _daily(store, key, window))), {})
        if closes:
            times = sorted(closes)
            made[symbol] = Prices(times=times, closes=[closes[at] for at in times])
    return made


def plain(name: str) -> str:
    """BTC-USDT, BTC/USDT and BTCUSDT are the same instrument."""
    return name.replace("-", "").replace("/", "").replace("_", "").upper()


def _daily(store: Store, key: SeriesKey, window: Window) -> dict[int, float]:
    """Last close of each UTC day of the window, by the day's end."""
    closes: dict[int, float] = {}
    try:
        for arrays, grid in store.scan(key, window.start, window.end + DAY_NS):
            days = arrays["start_ns"] // DAY_NS
            last = np.flatnonzero(np.append(days[1:] != days[:-1], True))
            tick = float(grid.tick)
            closes |= {int(days[i] + 1) * DAY_NS: int(arrays["close"][i]) * tick for i in last}
    except StoreError as error:
        log.warning("a stored series cannot be read", series=str(key), error=str(error))
        return {}
    return closes
