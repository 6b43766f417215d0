"""Market data by its name on a command line or in a run's record: a file, or a name below a folder of data.

A raw recording replays as events, everything else is bars.
"""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np

from workers.adapters.store import Kind, SeriesKey, Store, StoreError, instrument_of, load_quotes
from workers.adapters.store.parquet_store import rescaled
from workers.adapters.store.schema import COLUMNS, interval_ns
from workers.backtest.books import Replay
from workers.backtest.config import BacktestError
from workers.backtest.data import BarSeries, load_bars
from workers.backtest.recordings import load_recording
from workers.engine.instruments import Instrument

STORE: Final = "store:"
RAW: Final = re.compile(r"^[a-z0-9]+_\d{8}(\.gz)?$")
BARS: Final = (".csv", ".csv.gz", ".parquet", ".feather", ".arrow")


def is_recording(path: Path) -> bool:
    """True for a file named like ``btcusdt_20240808.gz``."""
    return RAW.match(path.name) is not None


def load(path: Path, *, symbol: str = "", tick: str = "", lot: str = "") -> BarSeries | Replay:
    """Bars or a recording; BacktestError when the file cannot be used."""
    if is_recording(path):
        return load_recording(path, tick=tick, lot=lot)
    return load_bars(path, symbol=symbol, tick=tick or None, lot=lot or None)


def below(folder: Path, name: str) -> Path:
    """The file ``name`` inside ``folder``; BacktestError for a name that leads out of it or to nothing."""
    root = folder.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise BacktestError(f"there is no data named {name!r}; known are {', '.join(listing(folder)[:20]) or 'none'}")
    return path


def named(folder: Path, name: str, *, symbol: str = "", tick: str = "", lot: str = "") -> BarSeries | Replay:
    """Data by the name in a run's record: of the store, or of a file inside ``folder``."""
    return stored(name) if name.startswith(STORE) else load(below(folder, name), symbol=symbol, tick=tick, lot=lot)


def listing(folder: Path) -> list[str]:
    """Names of all bars and recordings inside ``folder``, and of the store's series."""
    root = folder.resolve()
    files = (path for place in ("ohlcv", "recordings", "bars") for path in (root / place).rglob("*") if path.is_file())
    names = sorted(str(path.relative_to(root)) for path in files if path.name.endswith(BARS) or is_recording(path))
    kept = [key for key in Store().series() if key.kind in (Kind.BARS, Kind.QUOTES)]
    return [*names, *(f"{STORE}{key.venue}/{key.instrument}/{key.interval or 'quotes'}" for key in kept)]


def stored(name: str) -> BarSeries | Replay:
    """History of the Parquet store by ``store:<venue>/<instrument>/<interval or quotes>``, on its own grid.

    BacktestError names what the store has when there is no such series.
    """
    parts = name.removeprefix(STORE).split("/")
    if len(parts) < 3:
        raise BacktestError(f"expected store:venue/instrument/interval, was {name!r}")
    venue, symbol, kind = parts[0], "/".join(parts[1:-1]), parts[-1]
    try:
        if kind == "quotes":
            return _stored_quotes(venue, symbol)
        return _stored_bars(venue, symbol, kind)
    except StoreError as error:
        raise BacktestError(f"{name}: {error}") from error


def _stored_bars(venue: str, symbol: str, interval: str) -> BarSeries:
    instrument, store = instrument_of(venue, symbol, interval), Store()
    key = SeriesKey(Kind.BARS, venue, symbol, interval)
    grid = store.grid(key)
    parts = [rescaled(arrays, found, grid) for arrays, found in store.scan(key)]
    columns = [np.concatenate([part[name] for part in parts]) for name in COLUMNS[Kind.BARS][:6]]
    return BarSeries(instrument, interval_ns(interval), *columns)


def _stored_quotes(venue: str, symbol: str) -> Replay:
    store, key = Store(), SeriesKey(Kind.QUOTES, venue, symbol)
    grid = store.grid(key)
    base, _, quote = symbol.replace("/", "-").replace("_", "-").partition("-")
    instrument = Instrument(
        venue=venue,
        symbol=symbol,
        base=base or symbol[:3],
        quote=quote or symbol[3:] or "USD",
        tick=grid.tick,
        lot=grid.lot,
        min_lots=1,
        max_lots=10**15,
        min_notional=Decimal(0),
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
    )
    made = hashlib.sha256()
    for file in store.files(key):
        made.update(file.path.read_bytes())
    return Replay(
        instruments=(instrument,),
        events=list(load_quotes(venue, symbol, grid=instrument)),
        digest=made.hexdigest(),
        depth=False,
        label=f"{STORE}{venue}/{symbol}/quotes",
    )
