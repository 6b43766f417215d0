"""Stored history as the engine's events, for backtests."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from workers.adapters.store.grid import MAX_INT64, Grid, factor
from workers.adapters.store.parquet_store import Arrays, SeriesKey, Store, rescaled
from workers.adapters.store.schema import COLUMNS, Kind, StoreError, interval_name, interval_ns
from workers.engine.events import Bar, TopOfBook, Trade
from workers.engine.instruments import GridError, Instrument
from workers.engine.vocabulary import Side


def instrument_of(
    venue: str,
    instrument: str,
    interval: str = "",
    *,
    root: Path | None = None,
    base: str = "",
    quote: str = "",
    maker_fee: Decimal = Decimal(0),
    taker_fee: Decimal = Decimal(0),
) -> Instrument:
    """An instrument on the grid of stored bars (of trades without ``interval``), without further filters.

    Base and quote come from a symbol like BTC-USD, BTC/USD or EUR_USD where they are not given. Raises StoreError.
    """
    kind = Kind.BARS if interval else Kind.TRADES
    grid = Store(root).grid(SeriesKey(kind, venue, instrument, interval))
    for mark in "-/_":
        if mark in instrument and not (base and quote):
            base, quote = instrument.split(mark, 1)
    return Instrument(
        venue=venue,
        symbol=instrument,
        base=base or instrument[:3],
        quote=quote or instrument[3:] or "USD",
        tick=grid.tick,
        lot=grid.lot,
        min_lots=1,
        max_lots=10**15,
        min_notional=Decimal(0),
        maker_fee=maker_fee,
        taker_fee=taker_fee,
    )


def load_bars(
    venue: str,
    instrument: str,
    start: int | None,
    end: int | None,
    interval: str | int,
    *,
    root: Path | None = None,
    grid: Instrument | None = None,
) -> Iterator[Bar]:
    """Bars that begin within ``[start, end)`` (ns; None for all), oldest first, with the gaps that the data has.

    Prices and volumes are on ``grid`` where one is given, else on that of the whole series (``instrument_of``).
    Raises StoreError when there is no such series, or when the data does not fit ``grid``.
    """
    name = interval if isinstance(interval, str) else interval_name(interval)
    length = interval_ns(name)
    store, key = Store(root), SeriesKey(Kind.BARS, venue, instrument, name)
    for columns in _rows(store, key, start, end, grid):
        for begin, opened, high, low, close, volume, trades in zip(*columns, strict=True):
            finish = begin + length
            yield Bar(
                symbol=instrument,
                ts_event=finish,
                ts_recv=finish,
                start=begin,
                interval_ns=length,
                open=opened,
                high=high,
                low=low,
                close=close,
                volume=volume,
                trades=trades,
            )


def load_trades(
    venue: str,
    instrument: str,
    start: int | None = None,
    end: int | None = None,
    *,
    root: Path | None = None,
    grid: Instrument | None = None,
) -> Iterator[Trade]:
    """Trades within ``[start, end)``, oldest first; as ``load_bars``."""
    store, key = Store(root), SeriesKey(Kind.TRADES, venue, instrument)
    for columns in _rows(store, key, start, end, grid):
        for at, trade_id, price, lots, side, recv in zip(*columns, strict=True):
            yield Trade(
                symbol=instrument,
                ts_event=at,
                ts_recv=recv or at,
                trade_id=trade_id,
                price=price,
                lots=lots,
                aggressor=Side.SELL if side < 0 else Side.BUY,
            )


def load_quotes(
    venue: str,
    instrument: str,
    start: int | None = None,
    end: int | None = None,
    *,
    root: Path | None = None,
    grid: Instrument | None = None,
) -> Iterator[TopOfBook]:
    """Best bids and asks within ``[start, end)``, oldest first, numbered from 1; as ``load_bars``."""
    store, key = Store(root), SeriesKey(Kind.QUOTES, venue, instrument)
    number = 0
    for columns in _rows(store, key, start, end, grid):
        for at, bid, ask, bid_lots, ask_lots, recv in zip(*columns, strict=True):
            number += 1
            yield TopOfBook(
                symbol=instrument,
                ts_event=at,
                ts_recv=recv or at,
                update_id=number,
                bid=bid,
                bid_lots=bid_lots,
                ask=ask,
                ask_lots=ask_lots,
            )


def _rows(
    store: Store, key: SeriesKey, start: int | None, end: int | None, grid: Instrument | None
) -> Iterator[list[list[int]]]:
    """Columns as lists of ints, file by file, on one grid."""
    wanted = Grid(grid.tick, grid.lot) if grid is not None else store.grid(key)
    if grid is not None and not store.files(key):
        raise StoreError(store.missing(key))
    for arrays, stored in store.scan(key, start or 0, MAX_INT64 if end is None else end):
        fitted = _fitted(key, arrays, stored, wanted)
        yield [fitted[name].tolist() for name in COLUMNS[key.kind]]


def _fitted(key: SeriesKey, arrays: Arrays, stored: Grid, wanted: Grid) -> Arrays:
    if stored == wanted:
        return arrays
    try:
        factor(stored.tick, wanted.tick), factor(stored.lot, wanted.lot)
    except GridError as error:
        message = f"{key} is stored with tick {stored.tick} and lot {stored.lot}, finer than the {wanted} asked for"
        raise StoreError(f"{message}: use instrument_of() for its own grid") from error
    return rescaled(arrays, stored, wanted)
