"""Market history as Parquet files (zstd) with integer columns, queried with DuckDB.

A write merges: rows that are there already change nothing, so that the same import twice gives the same files. A bar
that contradicts a stored one is refused, naming both, unless ``replace`` is asked for. Files are replaced whole and
atomically; a crash leaves the old one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workers.adapters.store.grid import MAX_INT64, Grid, common_grid, factor
from workers.adapters.store.schema import (
    COLUMNS,
    DAY_NS,
    KEYS,
    LOTS,
    PRICES,
    Ints,
    Kind,
    StoreError,
    interval_ns,
    schema,
    time_column,
)

FILE = "data.parquet"
Arrays = dict[str, Ints]


Advance = Callable[[int, int], None]
"""Told how many steps are done, of how many."""


class SeriesKey(NamedTuple):
    """One series; ``interval`` is empty but for bars."""

    kind: Kind
    venue: str
    instrument: str
    interval: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.venue, self.instrument, self.kind.value, self.interval) if part)


class Written(NamedTuple):
    """What a write has done, in rows."""

    added: int
    same: int
    replaced: int
    files: int


class StoredFile(NamedTuple):
    """One file of a series."""

    date: str
    path: Path


def default_root() -> Path:
    """Folder of the store: ``GEKKO_STORE``, else ``store`` in the installation's state folder."""
    if chosen := os.environ.get("GEKKO_STORE"):
        return Path(chosen)
    return Path(os.environ.get("GEKKO_STATE_DIR") or Path(__file__).resolve().parents[3] / ".gekko") / "store"


class Store:
    """All history below one folder."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    # -- what there is

    def series(self) -> list[SeriesKey]:
        """Every stored series, in order."""
        found: set[SeriesKey] = set()
        for kind in Kind:
            depth = "*/*/*/*" if kind is Kind.BARS else "*/*/*"
            for path in (self.root / kind).glob(f"{depth}/{FILE}"):
                parts = dict(part.split("=", 1) for part in path.parent.relative_to(self.root / kind).parts)
                names = (unquote(parts["venue"]), unquote(parts["instrument"]))
                found.add(SeriesKey(kind, *names, parts.get("interval", "")))
        return sorted(found)

    def files(self, key: SeriesKey) -> list[StoredFile]:
        """Files of a series, oldest first."""
        return sorted(
            StoredFile(path.parent.name.removeprefix("date="), path) for path in self.folder(key).glob(f"date=*/{FILE}")
        )

    def folder(self, key: SeriesKey) -> Path:
        """Where a series lies; names are percent-encoded where a path cannot hold them."""
        folder = self.root / key.kind / f"venue={quote(key.venue, safe='')}"
        folder /= f"instrument={quote(key.instrument, safe='')}"
        return folder / f"interval={key.interval}" if key.kind is Kind.BARS else folder

    # -- reading

    def read(self, key: SeriesKey, path: Path) -> tuple[Arrays, Grid]:
        """Columns of one file and its grid; StoreError for a file that is none of ours."""
        with _readable(path):
            table = pq.read_table(path, partitioning=None)
        if table.schema != schema(key.kind):
            raise StoreError(f"expected the columns {schema(key.kind).names} in {path}, was {table.schema.names}")
        arrays = {name: table.column(name).to_numpy() for name in COLUMNS[key.kind]}
        if not table.num_rows:
            raise StoreError(f"{path} has no rows; remove it")
        return arrays, Grid(table.column("tick")[0].as_py().normalize(), table.column("lot")[0].as_py().normalize())

    def scan(self, key: SeriesKey, start_ns: int = 0, end_ns: int = MAX_INT64) -> Iterator[tuple[Arrays, Grid]]:
        """Columns file by file, rows whose time is within ``[start_ns, end_ns)``, oldest first."""
        for stored in self.files(key):
            first = _date_ns(stored.date)
            if first >= end_ns or first + _span_ns(key) <= start_ns:
                continue
            arrays, grid = self.read(key, stored.path)
            times = arrays[time_column(key.kind)]
            low, high = np.searchsorted(times, [start_ns, end_ns])
            if low < high:
                yield {name: column[low:high] for name, column in arrays.items()}, grid

    def grid(self, key: SeriesKey) -> Grid:
        """The coarsest grid that holds the whole series. Raises StoreError when there is none."""
        found: Grid | None = None
        for stored in self.files(key):
            grid = self._units(stored.path)
            found = grid if found is None else common_grid(found, grid)
        if found is None:
            raise StoreError(self.missing(key))
        return found

    def _units(self, path: Path) -> Grid:
        with _readable(path):
            table = pq.ParquetFile(path).read_row_group(0, columns=["tick", "lot"])
        return Grid(*(table.column(name)[0].as_py().normalize() for name in ("tick", "lot")))

    def missing(self, key: SeriesKey) -> str:
        """Why a series cannot be read, and what there is instead."""
        stored = ", ".join(str(one) for one in self.series()) or "nothing"
        return f"expected {key} in {self.root}, which has {stored}; bring it with 'gekko data import' or 'download'"

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a DuckDB query over the views ``bars``, ``trades`` and ``quotes``; prices are exact decimals."""
        import duckdb  # noqa: PLC0415 - heavy, and only queries need it

        with duckdb.connect() as connection:
            for kind in Kind:
                connection.execute(self._view(kind))
            result = connection.execute(sql, dict(parameters) if parameters else None)
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def _view(self, kind: Kind) -> str:
        pattern = str(self.root / kind / "**" / FILE).replace("'", "''")
        empty = not any((self.root / kind).glob(f"**/{FILE}"))
        columns = [f"{_unit(name)} AS {name}" for name in COLUMNS[kind]]
        head = f"make_timestamp_ns({time_column(kind)}) AS at, {', '.join(columns)}"
        if empty:
            typed = ", ".join(f"0::BIGINT AS {name}" for name in COLUMNS[kind])
            places = ", ".join(f"'' AS {name}" for name in ("venue", "instrument", "interval", "date"))
            source = f"(SELECT {typed}, 0::DECIMAL(20,10) AS tick, 0::DECIMAL(20,10) AS lot, {places} WHERE false)"
        else:
            source = f"read_parquet('{pattern}', hive_partitioning=true, hive_types_autocast=false)"
        places = "venue, instrument, interval, date" if kind is Kind.BARS or empty else "venue, instrument, date"
        return f"CREATE VIEW {kind} AS SELECT {places}, {head}, tick, lot FROM {source}"  # noqa: S608 - our own names

    # -- writing

    def write(
        self,
        key: SeriesKey,
        arrays: Arrays,
        grid: Grid,
        *,
        replace: bool = False,
        advance: Advance | None = None,
    ) -> Written:
        """Merge rows into a series. Raises StoreError for rows that contradict what is stored or each other."""
        grid.checked()
        times = arrays[time_column(key.kind)]
        dates = times // DAY_NS if _span_ns(key) <= DAY_NS else np.array([_year(at) for at in times.tolist()], np.int64)
        days = np.unique(dates)
        totals = Written(0, 0, 0, 0)
        for number, day in enumerate(days.tolist(), 1):
            chosen = dates == day
            part = {name: column[chosen] for name, column in arrays.items()}
            name = _day_name(day) if _span_ns(key) <= DAY_NS else f"{day:04d}"
            done = self._merge(key, self.folder(key) / f"date={name}" / FILE, part, grid, replace=replace)
            totals = Written(*(a + b for a, b in zip(totals, done, strict=True)))
            if advance is not None:
                advance(number, len(days))
        return totals

    def _merge(self, key: SeriesKey, path: Path, fresh: Arrays, grid: Grid, *, replace: bool) -> Written:
        old: Arrays = {name: np.empty(0, np.int64) for name in fresh}
        if path.exists():
            old, stored = self.read(key, path)
            both = common_grid(stored, grid)
            old, fresh = rescaled(old, stored, both), rescaled(fresh, grid, both)
            grid = both
        fresh = _distinct(key, fresh)
        merged = {name: np.concatenate([old[name], fresh[name]]) for name in fresh}
        order = np.lexsort([merged[name] for name in reversed(KEYS[key.kind])])
        merged = {name: column[order] for name, column in merged.items()}
        again = _equal_to_previous(merged, KEYS[key.kind])
        is_new = order >= len(old[time_column(key.kind)])
        changed = again & ~_equal_to_previous(merged, COLUMNS[key.kind][:-1])
        if changed.any() and not replace:
            raise StoreError(_contradiction(key, merged, int(np.flatnonzero(changed)[0]), grid))
        keep = ~again
        if replace:
            # Of two rows with one key the later one, which is the new one, stays.
            keep = ~np.append(again[1:], False)
        added = int(is_new.sum() - again.sum())
        if added or (replace and changed.any()):
            _save(key, path, {name: column[keep] for name, column in merged.items()}, grid)
        replaced = int(changed.sum()) if replace else 0
        return Written(added, int(again.sum()) - replaced, replaced, 1)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """StoreError for a file that Arrow cannot read."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path} cannot be read: {error}; remove it and import its day again") from error


def rescaled(arrays: Arrays, old: Grid, new: Grid) -> Arrays:
    """Counts of one grid as counts of a finer one; StoreError where 64 bits do not hold them."""
    out: Arrays = {}
    for name, column in arrays.items():
        times = factor(old.tick, new.tick) if name in PRICES else factor(old.lot, new.lot) if name in LOTS else 1
        if times != 1 and len(column) and int(np.abs(column).max()) > MAX_INT64 // times:
            raise StoreError(f"{name} of {int(np.abs(column).max())} units of {old} does not fit units of {new}")
        out[name] = column * times if times != 1 else column
    return out


def _unit(name: str) -> str:
    """SQL of a column in natural units, exact: 18 digits of count times 10 decimals of unit."""
    if name in PRICES:
        return f"{name}::DECIMAL(18,0) * tick"
    return f"{name}::DECIMAL(18,0) * lot" if name in LOTS else name


def _span_ns(key: SeriesKey) -> int:
    long_bars = key.kind is Kind.BARS and interval_ns(key.interval) >= 3600 * 10**9
    return 366 * DAY_NS if long_bars else DAY_NS


def _year(at_ns: int) -> int:
    return datetime.fromtimestamp(at_ns // 10**9, UTC).year


def _day_name(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


def _date_ns(name: str) -> int:
    text = name if len(name) > 4 else f"{name}-01-01"
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def _distinct(key: SeriesKey, arrays: Arrays) -> Arrays:
    """Rows in order without repetitions; StoreError when two bars of one start differ."""
    order = np.lexsort([arrays[name] for name in reversed(KEYS[key.kind])])
    sorted_rows = {name: column[order] for name, column in arrays.items()}
    again = _equal_to_previous(sorted_rows, KEYS[key.kind])
    differs = again & ~_equal_to_previous(sorted_rows, COLUMNS[key.kind][:-1])
    if differs.any():
        at = int(sorted_rows[time_column(key.kind)][int(np.flatnonzero(differs)[0])])
        raise StoreError(f"expected one bar per start in the new data, has two that differ at {_when(at)} ({key})")
    return {name: column[~again] for name, column in sorted_rows.items()}


def _equal_to_previous(arrays: Arrays, names: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Per row: True when it has the same values in ``names`` as the row before."""
    length = len(arrays[names[0]])
    same = np.ones(length, bool)
    same[:1] = False
    for name in names:
        column = arrays[name]
        same[1:] &= column[1:] == column[:-1]
    return same


def _contradiction(key: SeriesKey, merged: Arrays, index: int, grid: Grid) -> str:
    def shown(row: int) -> str:
        values = [
            f"{name} {int(merged[name][row]) * (grid.tick if name in PRICES else grid.lot if name in LOTS else 1)}"
            for name in COLUMNS[key.kind][1:]
        ]
        return ", ".join(values)

    at = _when(int(merged[time_column(key.kind)][index]))
    return f"{key} at {at}: stored {shown(index - 1)}; new {shown(index)}. Nothing was changed; --replace takes the new"


def _when(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}"


def _save(key: SeriesKey, path: Path, arrays: Arrays, grid: Grid) -> None:
    rows = len(arrays[time_column(key.kind)])
    units = [
        pa.array([unit] * rows, schema(key.kind).field(name).type)
        for name, unit in zip(grid._fields, grid, strict=True)
    ]
    table = pa.Table.from_arrays(
        [*(pa.array(arrays[name]) for name in COLUMNS[key.kind]), *units], schema=schema(key.kind)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.new")
    try:
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
