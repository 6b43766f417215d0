"""Closes to train on, with where they came from. Each loader returns series oldest first, never gap-filled."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np

from workers.adapters.past import Past, PastError, gaps
from workers.engine.forecast.artifact import Provenance
from workers.engine.forecast.windows import DataError, Floats

KLINES_AT_ONCE = 1000
REST_HOST = "api.binance.us"
INTERVALS: dict[str, int] = {
    "1s": 1_000_000_000,
    "1m": 60_000_000_000,
    "5m": 300_000_000_000,
    "15m": 900_000_000_000,
    "1h": 3_600_000_000_000,
    "1d": 86_400_000_000_000,
}
"""Nanoseconds of the bar intervals that Binance names."""
SAMPLE_PACKAGE = "gym_anytrading"
SAMPLE_FILE = Path("datasets") / "data" / "FOREX_EURUSD_1H_ASK.csv"


class HistoryError(RuntimeError):
    """History that cannot be had: the message names the source and what to do."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Closes of one instrument and what they are."""

    closes: Floats
    provenance: Provenance


def from_closes(
    closes: Iterable[float], *, name: str, source: str, interval_ns: int, start: int = 0, end: int = 0
) -> Series:
    """A series from closes; DataError names the first that is not finite and positive."""
    array = np.fromiter(closes, np.float64)
    bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    if bad.size:
        raise DataError(f"expected finite positive close, was {array[bad[0]]} ({name}, bar {int(bad[0])} of {source})")
    return Series(
        closes=array,
        provenance=Provenance(
            name=name,
            source=source,
            sha256=hashlib.sha256(array.astype("<f8").tobytes()).hexdigest(),
            rows=len(array),
            interval_ns=interval_ns,
            start=start,
            end=end,
        ),
    )


def from_venue(
    url: str, symbol: str, interval: str, *, bars: int = KLINES_AT_ONCE, client: httpx.Client | None = None
) -> Series:
    """Closed bars of ``symbol`` from the venue's klines, the newest ``bars`` of them, asked for backwards in pages.

    The venue gives the bar that is still open last; it is left out. HistoryError when the venue cannot be asked.
    """
    nanos = interval_ns(interval)
    owned = client or httpx.Client(timeout=10)
    rows: dict[int, float] = {}
    try:
        before: int | None = None
        while len(rows) <= bars:
            page = _klines(owned, url, symbol, interval, before)
            fresh = {int(row[0]): float(row[4]) for row in page if int(row[0]) not in rows}
            if not fresh:
                break
            rows.update(fresh)
            before = min(fresh) - 1
    finally:
        if client is None:
            owned.close()
    opened = sorted(rows)[:-1][-bars:]
    closes = [rows[at] for at in opened]
    start, end = (opened[0] * 1_000_000, opened[-1] * 1_000_000 + nanos) if opened else (0, 0)
    return from_closes(closes, name=symbol, source=f"klines {interval}", interval_ns=nanos, start=start, end=end)


def from_past(past: Past, symbol: str, interval: str, *, bars: int = KLINES_AT_ONCE) -> Series:
    """The same from a venue that speaks otherwise; bars that the venue does not have stay out, and are counted."""
    nanos = interval_ns(interval)
    try:
        prices = past.closes(symbol, nanos, bars)
    except PastError as error:
        raise HistoryError(f"no candles of {error}; is the venue up?") from error
    times, missing = prices.times, gaps(prices, nanos)
    source = f"candles {interval}" + (f", {missing} missing" if missing else "")
    start, end = (times[0] - nanos, times[-1]) if times else (0, 0)
    return from_closes(prices.closes, name=symbol, source=source, interval_ns=nanos, start=start, end=end)


def _klines(client: httpx.Client, url: str, symbol: str, interval: str, before: int | None) -> list[list[Any]]:
    query: dict[str, str | int] = {"symbol": symbol, "interval": interval, "limit": KLINES_AT_ONCE}
    if before is not None:
        query["endTime"] = before
    address = f"{url.rstrip('/')}/{REST_HOST}/api/v3/klines"
    try:
        reply = client.get(address, params=query)
        reply.raise_for_status()
        rows = reply.json()
    except (httpx.HTTPError, ValueError) as error:
        raise HistoryError(f"no klines of {symbol} from {address}: {error}; is the venue up?") from error
    if not isinstance(rows, list):
        raise HistoryError(f"expected a list of klines of {symbol} from {address}, was {type(rows).__name__}")
    return rows


def interval_ns(interval: str) -> int:
    """Nanoseconds of a Binance interval; HistoryError for one that is not known."""
    if interval not in INTERVALS:
        raise HistoryError(f"expected a bar interval of {', '.join(INTERVALS)}, was {interval!r}")
    return INTERVALS[interval]


def from_csv(path: Path, *, name: str = "", column: str = "close") -> Series:
    """Closes of an OHLCV file with a header, plain or gzipped. Its first column is the time.

    The interval is the commonest distance of the first hundred rows; gaps stay gaps in time, not in the series.
    """
    with _text(path) as lines:
        reader = csv.DictReader(lines)
        columns = {field.lower(): field for field in reader.fieldnames or ()}
        if column not in columns:
            raise HistoryError(f"expected a column {column!r} in {path.name}, found {', '.join(columns) or 'none'}")
        clock = (reader.fieldnames or [""])[0]
        rows = [(row[clock], _number(row[columns[column]], path, place)) for place, row in enumerate(reader, 2)]
    times = [_moment(text, path) for text, _ in rows[:100]]
    gaps = np.diff(np.asarray(times, np.int64))
    nanos = int(np.median(gaps)) if gaps.size else 0
    start, end = (times[0], _moment(rows[-1][0], path) + nanos) if times else (0, 0)
    return from_closes(
        (close for _, close in rows),
        name=name or path.name.split(".")[0],
        source=path.name,
        interval_ns=nanos,
        start=start,
        end=end,
    )


def from_folder(folder: Path) -> list[Series]:
    """Every OHLCV file of ``folder``/ohlcv, by name; HistoryError when there is none."""
    files = sorted((folder / "ohlcv").glob("*.csv*"))
    if not files:
        raise HistoryError(f"no *.csv or *.csv.gz in {folder / 'ohlcv'}; set GEKKO_DATA to a folder that has them")
    return [from_csv(path) for path in files]


def from_sample() -> Series:
    """Hourly EUR/USD from the wheel gym-anytrading (MIT), found without running any of its code."""
    spec = find_spec(SAMPLE_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise HistoryError("the sample prices are missing; install gym-anytrading")
    return from_csv(Path(spec.submodule_search_locations[0]) / SAMPLE_FILE, name="EURUSD")


class _Trade(msgspec.Struct, frozen=True):
    """The fields of Binance's trade message that make a bar."""

    price: str = msgspec.field(name="p")
    at_ms: int = msgspec.field(name="T")


class _Frame(msgspec.Struct, frozen=True):
    data: _Trade


def from_recording(path: Path, interval: str, *, name: str = "") -> Series:
    """Closes from the trades of one raw Binance recording: ``<receive ns> <frame>`` per line.

    A bar without a trade carries the close before it, as the exchange's own klines do.
    """
    nanos = interval_ns(interval)
    last: dict[int, float] = {}
    decoder = msgspec.json.Decoder(_Frame)
    with gzip.open(path) as lines:
        for line in lines:
            if b"@trade" in line:
                trade = decoder.decode(line[line.index(b" ") + 1 :]).data
                last[trade.at_ms * 1_000_000 // nanos] = float(trade.price)
    if not last:
        raise HistoryError(f"no trades in {path.name}; expected a recording of the stream @trade")
    name = name or path.name.split("_")[0].upper()
    start, end = min(last) * nanos, (max(last) + 1) * nanos
    source = f"{path.name} {interval}"
    return from_closes(_carried(last), name=name, source=source, interval_ns=nanos, start=start, end=end)


def _carried(last: dict[int, float]) -> Iterator[float]:
    close = last[min(last)]
    for bar in range(min(last), max(last) + 1):
        close = last.get(bar, close)
        yield close


def _text(path: Path) -> io.TextIOBase:
    if not path.is_file():
        raise HistoryError(f"there is no file {path}")
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _number(text: str | None, path: Path, line: int) -> float:
    try:
        return float(text or "")
    except ValueError:
        return math.nan if text == "nan" else _refuse(f"expected a number as close, was {text!r} ({path.name}:{line})")


def _refuse(message: str) -> float:
    raise DataError(message)


def _moment(text: str, path: Path) -> int:
    """Nanoseconds of a time in ISO form or as ``DD.MM.YYYY HH:MM:SS``; UTC where no zone is given."""
    try:
        day, _, rest = text.partition(" ")
        if day.count(".") == 2:
            day = "-".join(reversed(day.split(".")))
        at = datetime.fromisoformat(f"{day} {rest}" if rest else day)
    except ValueError as error:
        raise DataError(f"expected a time in the first column, was {text!r} ({path.name})") from error
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000
