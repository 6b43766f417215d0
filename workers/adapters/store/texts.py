"""Rows of market history from files: plain, gzipped or zipped CSV, feather and parquet, with the place of every row."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from workers.adapters.store.schema import SECOND_NS, StoreError

FEATHER = frozenset({".feather", ".arrow", ".ft"})
PARQUET = frozenset({".parquet", ".pq"})


class ImportProblem(StoreError):
    """A value that cannot be taken, with file, line and what was expected."""

    def __init__(self, place: str, expected: str, value: object) -> None:
        super().__init__(f"{place}: expected {expected}, was {value!r:.80}")


class Source(NamedTuple):
    """A file's rows as texts. ``header`` is empty for a file without one; ``first`` is the line of the first row."""

    name: str
    header: tuple[str, ...]
    rows: Iterator[Sequence[str]]
    first: int
    word: str = "line"

    def place(self, index: int) -> str:
        """Where the ``index``-th row stands."""
        return f"{self.name} {self.word} {self.first + index}"


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """The rows of ``path``; StoreError for a file that is missing, empty or of an unknown kind."""
    if not path.is_file():
        raise StoreError(f"there is no file {path}")
    if path.suffix in FEATHER | PARQUET:
        yield _table(path)
        return
    with _text(path) as (name, lines):
        yield _csv(name, lines)


@contextmanager
def _text(path: Path) -> Iterator[tuple[str, io.TextIOBase]]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            yield path.name, file
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [one for one in archive.namelist() if one.lower().endswith(".csv")]
            if len(names) != 1:
                raise StoreError(f"expected one CSV file in {path.name}, has {', '.join(archive.namelist()) or 'none'}")
            with archive.open(names[0]) as raw:
                yield f"{path.name}/{names[0]}", io.TextIOWrapper(raw, encoding="utf-8", newline="")
    else:
        with path.open(encoding="utf-8", newline="") as file:
            yield path.name, file


def _csv(name: str, lines: io.TextIOBase) -> Source:
    reader = csv.reader(lines)
    try:
        first = next(reader)
    except StopIteration:
        raise StoreError(f"{name} is empty") from None
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, csv.Error) as error:
        raise StoreError(f"{name} cannot be read as text: {error}") from error
    if first and first[0][:1].isdigit():
        return Source(name, (), _readable(name, _chained(first, reader)), 1)
    return Source(name, tuple(field.strip().lower() for field in first), _readable(name, reader), 2)


def _chained(first: Sequence[str], rest: Iterator[Sequence[str]]) -> Iterator[Sequence[str]]:
    yield first
    yield from rest


def _readable(name: str, rows: Iterator[Sequence[str]]) -> Iterator[Sequence[str]]:
    """Rows until the file is over; a damaged archive names itself."""
    try:
        yield from rows
    except (UnicodeDecodeError, gzip.BadGzipFile, zipfile.BadZipFile, EOFError, csv.Error) as error:
        raise StoreError(f"{name} is damaged: {error}") from error


def _table(path: Path) -> Source:
    try:
        table = pq.read_table(path) if path.suffix in PARQUET else pyarrow.feather.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path.name} cannot be read: {error}") from error
    header = tuple(name.lower() for name in table.column_names)
    columns = [_texts(table.column(index)) for index in range(table.num_columns)]
    return Source(path.name, header, zip(*columns, strict=True), 1, "row")


def _texts(column: pa.ChunkedArray) -> list[str]:
    """Values as texts. The text of a float is the shortest that reads back as it, which is what its writer meant."""
    if pa.types.is_timestamp(column.type):
        to_ns = pa.timestamp("ns", column.type.tz)
        return [str(value) for value in column.cast(to_ns).cast(pa.int64()).to_pylist()]
    return ["" if value is None else str(value) for value in column.to_pylist()]


def number(text: str, place: str, what: str, *, positive: bool = True) -> Decimal:
    """A finite decimal, above zero or, without ``positive``, at least zero. Raises ImportProblem."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or value < 0 or (positive and not value):
        raise ImportProblem(place, f"a {'positive' if positive else 'non-negative'} decimal as {what}", text)
    return value


def moment(text: str, place: str, zone: tzinfo = UTC) -> int:
    """Nanoseconds of a time: ISO 8601, ``YYYYMMDD HH:MM``, ``DD.MM.YYYY HH:MM:SS``, or a count since 1970 in s, ms,
    us or ns, told by its digits. ``zone`` is that of texts that name none. Raises ImportProblem."""
    text = text.strip()
    if text.isdigit() and len(text) >= 9 and text.isascii():
        scale = {9: 9, 10: 9, 12: 6, 13: 6, 15: 3, 16: 3, 18: 0, 19: 0}.get(len(text))
        if scale is not None:
            return int(text) * int(10**scale)
    try:
        at = datetime.fromisoformat(_iso(text))
    except ValueError:
        raise ImportProblem(place, "a time", text) from None
    at = at if at.tzinfo else at.replace(tzinfo=zone)
    return round(at.timestamp()) * SECOND_NS if not at.microsecond else _exact(at)


def _exact(at: datetime) -> int:
    return int(at.replace(microsecond=0).timestamp()) * SECOND_NS + at.microsecond * 1000


def _iso(text: str) -> str:
    day, mark, rest = text.partition(" ")
    if day.count(".") == 2:
        day = "-".join(reversed(day.split(".")))
    return f"{day}{mark}{rest}"
