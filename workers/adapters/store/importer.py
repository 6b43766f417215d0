"""History from files into the store: bars, trades and quotes, column by column, exactly as written.

The grid is found in the data itself: the fewest decimals that hold every price, and every quantity. Shapes without a
header are known by their columns:

* bars of QuantConnect's LEAN (``20070101 21:00,bid OHLC,bid size,ask OHLC,ask size``, UTC), taken as mid, bid or ask
* its ticks (``ms since midnight,bid,ask`` with the date in the file's name)

Prices are never rounded. Quantities are, to the lot that is given or to eight decimals, since files that passed through
floats carry their noise; how many were is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from workers.adapters.store.grid import MAX_DECIMALS, MAX_INT64, Grid, decimals_of, unit_of
from workers.adapters.store.parquet_store import Advance, Arrays, SeriesKey, Store, Written
from workers.adapters.store.schema import (
    COLUMNS,
    LOTS,
    PRICES,
    Ints,
    Kind,
    StoreError,
    interval_name,
    interval_ns,
)
from workers.adapters.store.texts import ImportProblem, Source, moment, number, opened

ALIASES: Final = {
    "time": ("time", "timestamp", "date", "datetime", "open_time", "start", "ts", "ts_event"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v", "tickqty"),
    "trades": ("trades", "count", "n", "trade_count"),
    "price": ("price", "p"),
    "lots": ("quantity", "qty", "size", "amount", "q"),
    "trade_id": ("trade_id", "id", "tid"),
    "side": ("side", "aggressor", "aggressor_side"),
    "bid": ("bid", "bid_price", "best_bid"),
    "ask": ("ask", "ask_price", "best_ask"),
    "bid_lots": ("bid_size", "bid_qty", "best_bid_size"),
    "ask_lots": ("ask_size", "ask_qty", "best_ask_size"),
}
REQUIRED: Final = {
    Kind.BARS: ("time", "open", "high", "low", "close"),
    Kind.TRADES: ("time", "price", "lots"),
    Kind.QUOTES: ("time", "bid", "ask"),
}
OPTIONAL: Final = {
    Kind.BARS: ("volume", "trades"),
    Kind.TRADES: ("trade_id", "side"),
    Kind.QUOTES: ("bid_lots", "ask_lots"),
}
LEAN_BARS: Final = 11
LEAN_TICKS: Final = 3
BUYS: Final = frozenset({"buy", "b", "bid", "1", "true"})
SELLS: Final = frozenset({"sell", "s", "ask", "-1", "false"})
REPORT_EVERY: Final = 2000

Row = list[int | Decimal]
Read = Callable[[Sequence[str], str], Row]


class Imported(NamedTuple):
    """What an import has done."""

    key: SeriesKey
    rows: int
    rounded: int
    """Quantities that needed more decimals than the lot has."""
    grid: Grid
    written: Written


class ImportPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How to read one file. ``columns`` maps our names (see ``ALIASES``) to the file's."""

    venue: str
    instrument: str
    kind: Kind = Kind.BARS
    interval: str = ""
    """Of bars; empty: the commonest distance of two rows."""
    columns: dict[str, str] = {}
    price: str = "mid"
    """Of bars that have bid and ask prices: mid, bid or ask."""
    time_is_end: bool = False
    """The time of a bar is its end."""
    tick: str = ""
    lot: str = ""
    """Grid to store on; empty: found in the data."""


def import_file(
    store: Store,
    path: Path,
    plan: ImportPlan,
    *,
    zone: tzinfo = UTC,
    replace: bool = False,
    on_rows: Callable[[int], None] | None = None,
    advance: Advance | None = None,
) -> Imported:
    """Read a file and merge it into the store. Raises StoreError naming file, line and value; nothing is stored then.

    ``on_rows`` hears how many rows are read, ``advance`` how many files are written.
    """
    with opened(path) as source:
        kind, read = _reader(source, plan, zone)
        rows: list[Row] = []
        for index, fields in enumerate(source.rows):
            if fields:
                rows.append(read(fields, source.place(index)))
            if on_rows is not None and index % REPORT_EVERY == 0:
                on_rows(index)
        if not rows:
            raise StoreError(f"{source.name} has no rows")
        if on_rows is not None:
            on_rows(len(rows))
        arrays, grid, rounded = on_grid(kind, rows, source.name, plan.tick, plan.lot)
    key, arrays = _placed(kind, arrays, plan)
    written = store.write(key, arrays, grid, replace=replace, advance=advance)
    return Imported(key, len(rows), rounded, grid, written)


def on_grid(kind: Kind, rows: Sequence[Row], name: str, tick: str = "", lot: str = "") -> tuple[Arrays, Grid, int]:
    """Rows in the order of ``COLUMNS`` as integer columns on the coarsest decimal grid that holds them.

    The third value counts quantities that were rounded. Raises StoreError for a price that needs a finer grid than the
    given one or than eight decimals, and for what needs more than 64 bits.
    """
    columns = dict(zip(COLUMNS[kind], zip(*rows, strict=True), strict=True))
    prices = [value for column in PRICES & columns.keys() for value in columns[column]]
    sizes = [value for column in LOTS & columns.keys() for value in columns[column]]
    grid = Grid(_unit(prices, tick, MAX_DECIMALS + 1), _unit(sizes, lot, MAX_DECIMALS))
    if not tick and grid.tick < unit_of(MAX_DECIMALS):
        fine = next(value for value in prices if decimals_of(Decimal(value)) > MAX_DECIMALS)
        raise StoreError(f"{name}: expected prices of at most {MAX_DECIMALS} decimals, was {fine}")
    grid.checked()
    arrays: Arrays = {}
    rounded = 0
    for column, values in columns.items():
        if column in LOTS:
            arrays[column], some = _rounded(values, grid.lot, column, name)
            rounded += some
        else:
            unit = grid.tick if column in PRICES else Decimal(1)
            arrays[column] = _exact(values, unit, column, name)
    return arrays, grid, rounded


def _unit(values: Iterable[int | Decimal], given: str, most: int) -> Decimal:
    if given:
        return Decimal(given)
    return unit_of(min(most, max((decimals_of(Decimal(value)) for value in set(values)), default=0)))


def _exact(values: Sequence[int | Decimal], unit: Decimal, column: str, name: str) -> Ints:
    counts: list[int] = []
    for value in values:
        count = value if unit == 1 else value / unit
        whole = int(count)
        if count != whole:
            raise StoreError(f"{name}: expected {column} as a whole multiple of {unit}, was {value}")
        counts.append(whole)
    return _int64(counts, column, name)


def _rounded(values: Sequence[int | Decimal], unit: Decimal, column: str, name: str) -> tuple[Ints, int]:
    exact = [value / unit for value in values]
    counts = [round(count) for count in exact]
    return _int64(counts, column, name), sum(a != b for a, b in zip(exact, counts, strict=True))


def _int64(counts: list[int], column: str, name: str) -> Ints:
    if max(counts) > MAX_INT64:
        raise StoreError(
            f"{name}: {column} of {max(counts)} units does not fit 64 bits; give a coarser --tick or --lot"
        )
    return np.array(counts, np.int64)


def _placed(kind: Kind, arrays: Arrays, plan: ImportPlan) -> tuple[SeriesKey, Arrays]:
    if kind is not Kind.BARS:
        return SeriesKey(kind, plan.venue, plan.instrument), arrays
    starts = arrays["start_ns"]
    length = interval_ns(plan.interval) if plan.interval else _commonest(starts)
    if plan.time_is_end:
        arrays = {**arrays, "start_ns": starts - length}
    return SeriesKey(kind, plan.venue, plan.instrument, interval_name(length)), arrays


def _commonest(starts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> int:
    distances = Counter(np.diff(np.sort(starts)).tolist())
    distances.pop(0, None)
    if not distances:
        raise StoreError("one bar does not tell the length of its interval; give it by --interval")
    return int(distances.most_common(1)[0][0])


def _reader(source: Source, plan: ImportPlan, zone: tzinfo) -> tuple[Kind, Read]:
    if source.header:
        return plan.kind, _by_header(source, plan, zone)
    if plan.kind is Kind.TRADES:
        raise StoreError(f"{source.name} has no header; add a line with the names of its columns")
    date = re.search(r"(\d{8})[^/]*$", source.name)
    if plan.kind is Kind.QUOTES or (date and "tick" in source.name):
        if date is None:
            raise StoreError(f"expected a date like 20140501 in the name of a file of ticks, was {source.name}")
        midnight = moment(f"{date[1]} 00:00", source.name, zone)
        return Kind.QUOTES, _lean_tick(midnight)
    return Kind.BARS, _lean_bar(plan.price, zone)


def _by_header(source: Source, plan: ImportPlan, zone: tzinfo) -> Read:
    where = {ours: _find(source, ours, plan.columns, needed=True) for ours in REQUIRED[plan.kind]}
    where |= {ours: _find(source, ours, plan.columns, needed=False) for ours in OPTIONAL[plan.kind]}
    width, clock = len(source.header), where["time"]
    parse = {Kind.BARS: _bar, Kind.TRADES: _trade, Kind.QUOTES: _quote}[plan.kind]

    def read(fields: Sequence[str], place: str) -> Row:
        if len(fields) != width:
            raise ImportProblem(place, f"{width} columns", ",".join(fields))
        return parse(moment(fields[clock], place, zone), lambda ours: _field(fields, where[ours]), place)

    return read


def _field(fields: Sequence[str], index: int) -> str:
    return fields[index] if index >= 0 else ""


def _find(source: Source, ours: str, given: dict[str, str], *, needed: bool) -> int:
    """Place of a column; -1 for an optional one that is not there."""
    names = (given[ours].lower(),) if ours in given else ALIASES[ours]
    for name in names:
        if name in source.header:
            return source.header.index(name)
    if not needed and ours not in given:
        return -1
    said = f"expected a column {' or '.join(names)} for {ours} in {source.name}"
    raise StoreError(f"{said}, found {', '.join(source.header)}; map it with --column {ours}=NAME")


def _bar(at: int, field: Callable[[str], str], place: str) -> Row:
    opened_, high, low, close = (number(field(name), place, name) for name in ("open", "high", "low", "close"))
    if not low <= min(opened_, close) <= max(opened_, close) <= high:
        raise ImportProblem(place, "low <= open and close <= high", f"{opened_},{high},{low},{close}")
    volume = number(field("volume") or "0", place, "volume", positive=False)
    return [at, opened_, high, low, close, volume, _whole(field("trades"), place, "trades")]


def _trade(at: int, field: Callable[[str], str], place: str) -> Row:
    price, lots = number(field("price"), place, "price"), number(field("lots"), place, "quantity")
    word = field("side").strip().lower()
    side = 1 if word in BUYS else -1 if word in SELLS else 0
    if word and not side:
        raise ImportProblem(place, "buy or sell as side", word)
    return [at, _whole(field("trade_id"), place, "trade id"), price, lots, side, 0]


def _quote(at: int, field: Callable[[str], str], place: str) -> Row:
    bid, ask = number(field("bid"), place, "bid"), number(field("ask"), place, "ask")
    if bid > ask:
        raise ImportProblem(place, "bid <= ask", f"{bid} > {ask}")
    sizes = [number(field(name) or "0", place, name, positive=False) for name in ("bid_lots", "ask_lots")]
    return [at, bid, ask, *sizes, 0]


def _whole(text: str, place: str, what: str) -> int:
    if not text:
        return 0
    value = number(text, place, what, positive=False)
    if value != int(value):
        raise ImportProblem(place, f"a whole number as {what}", text)
    return int(value)


def _lean_tick(midnight: int) -> Read:
    def read(fields: Sequence[str], place: str) -> Row:
        if len(fields) != LEAN_TICKS:
            raise ImportProblem(place, "ms since midnight, bid, ask", ",".join(fields))
        ms = number(fields[0], place, "ms since midnight", positive=False)
        values = dict(zip(("bid", "ask"), fields[1:], strict=True))
        return _quote(midnight + int(ms * 1_000_000), lambda ours: values.get(ours, ""), place)

    return read


def _lean_bar(price: str, zone: tzinfo) -> Read:
    if price not in ("mid", "bid", "ask"):
        raise StoreError(f"expected mid, bid or ask as the price of bars, was {price!r}")

    def read(fields: Sequence[str], place: str) -> Row:
        if len(fields) != LEAN_BARS:
            raise ImportProblem(place, "time, bid OHLC, bid size, ask OHLC, ask size", ",".join(fields))
        bids = [number(text, place, "bid price") for text in fields[1:5]]
        asks = [number(text, place, "ask price") for text in fields[6:10]]
        if price == "mid":
            chosen = [(bid + ask) / 2 for bid, ask in zip(bids, asks, strict=True)]
        else:
            chosen = bids if price == "bid" else asks
        values = dict(zip(("open", "high", "low", "close"), map(str, chosen), strict=True))
        return _bar(moment(fields[0], place, zone), lambda ours: values.get(ours, ""), place)

    return read
