"""History on disk: see ``parquet_store`` for the files, ``recording`` for raw feeds."""

from workers.adapters.store.bars import instrument_of, load_bars, load_quotes, load_trades
from workers.adapters.store.parquet_store import SeriesKey, Store
from workers.adapters.store.schema import Kind, StoreError

__all__ = ["Kind", "SeriesKey", "Store", "StoreError", "instrument_of", "load_bars", "load_quotes", "load_trades"]
