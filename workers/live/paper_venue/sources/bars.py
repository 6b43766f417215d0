"""Bar history replayed at a chosen speed: a path through each bar's open, extremes and close, with a book around it.

The book is drawn, not recorded: its spread is half a basis point and its depth a share of the bar's volume. Trades
happen exactly on the path, so that the candlesticks of the venue are the bars of the file.
"""

from __future__ import annotations

import csv
import gzip
import importlib.metadata
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path

import msgspec

from workers.engine.instruments import Instrument
from workers.live.paper_venue.config import MarketKind, VenueConfig
from workers.live.paper_venue.sources.listing import instrument
from workers.live.paper_venue.sources.path import DrawnBook
from workers.live.paper_venue.wire import Frame, Session

_STEPS = 12
_IDS_PER_BAR = 1_000
_LEVELS = 12
_HALF_BASIS_POINT = 20_000
_SAMPLE_PACKAGE = "gym-anytrading"
_SAMPLE_FILE = "FOREX_EURUSD_1H_ASK.csv"


class BarsError(ValueError):
    """Bars that cannot be replayed, with file and line."""


class SourceBar(msgspec.Struct, frozen=True):
    """One bar in ticks and lots."""

    open: int
    high: int
    low: int
    close: int
    lots: int

    def path(self) -> list[int]:
        """Prices through the bar: towards the near extreme first, ``_STEPS`` of them, O-L-H-C or O-H-L-C."""
        turns = [self.low, self.high] if self.close >= self.open else [self.high, self.low]
        points, prices = [self.open, *turns, self.close], [self.open]
        per_leg = (_STEPS - 1) // 3 + 1
        for start, end in pairwise(points):
            prices += [start + (end - start) * n // per_leg for n in range(1, per_leg + 1)]
        return prices


class BarSource:
    """Replays bars, each in ``bar_seconds`` of the venue's time, and starts again at the end."""

    def __init__(
        self, kind: MarketKind, label: str, listed: Instrument, bars: Sequence[SourceBar], config: VenueConfig
    ) -> None:
        if not bars:
            raise BarsError(f"expected bars of {listed.symbol}, found none ({label})")
        self.kind = kind
        self.label = label
        self.bar_interval = f"{config.bar_seconds:g}s"
        self.instruments: tuple[Instrument, ...] = (listed,)
        self._bars = bars
        self._bar_ns = round(config.bar_seconds * 1e9)

    def session(self, number: int, history_from_ns: int) -> Session:  # noqa: ARG002 - every pass is the same
        """One pass over the bars, from the one at ``history_from_ns`` on."""
        first = min(max(history_from_ns // self._bar_ns, 0), len(self._bars) - 1)
        return Session(len(self._bars) * self._bar_ns, self._frames(first))

    def _frames(self, first: int) -> Iterator[tuple[int, Frame]]:
        book = DrawnBook(self.instruments[0], levels=_LEVELS)
        last = self._bars[first].open
        for index in range(first, len(self._bars)):
            bar, at = self._bars[index], index * self._bar_ns
            path = bar.path()
            for step, price in enumerate(path):
                offset = at + self._bar_ns * step // len(path)
                update_id = index * _IDS_PER_BAR + step + 1
                buy = price > last or (price == last and step % 2 == 1)
                _move(book, bar, price, buy=buy)
                first_book = index == first and step == 0
                yield offset, book.book(update_id) if first_book else book.depth(update_id)
                yield offset, book.top(update_id)
                yield offset, book.trade(update_id, max(1, bar.lots // (_STEPS + 1)), buy=buy)
                last = price


def _move(book: DrawnBook, bar: SourceBar, price: int, *, buy: bool) -> None:
    """Draw the book so that the next trade is at ``price``: buyers lead a rise, sellers a fall."""
    spread = max(1, price // _HALF_BASIS_POINT)
    bid, ask = (price - spread, price) if buy else (price, price + spread)
    book.draw(bid, ask, spread, max(1, bar.lots // _LEVELS))


def history(path: Path, config: VenueConfig) -> BarSource:
    """Bars of ``timestamp,open,high,low,close,volume`` (volume in the quote asset) of BTC-PERP, one per minute."""
    listed = instrument("BTCUSD", config)
    with gzip.open(path, "rt", newline="") as file:
        bars = list(_bars(listed, csv.DictReader(file), path.name, quote_volume=True))
    first, last = path.name.removesuffix("_1m.csv.gz").split("-")[-2:]
    return BarSource(MarketKind.BARS, f"BARS BTC-PERP one minute {first} to {last}, looped", listed, bars, config)


def sample(config: VenueConfig) -> BarSource:
    """Hourly EUR/USD prices that the package gym-anytrading (MIT licence) carries; none of its code is run."""
    path = _sample_path()
    listed = instrument("EURUSD", config)
    with path.open(newline="") as file:
        rows = ({name.lower(): text for name, text in row.items()} for row in csv.DictReader(file))
        bars = list(_bars(listed, rows, path.name, quote_volume=False))
    label = f"SAMPLE EUR/USD hourly 2017, from {_SAMPLE_PACKAGE} {importlib.metadata.version(_SAMPLE_PACKAGE)}, looped"
    return BarSource(MarketKind.SAMPLE, label, listed, bars, config)


def _sample_path() -> Path:
    for file in importlib.metadata.files(_SAMPLE_PACKAGE) or []:
        if file.name == _SAMPLE_FILE:
            return Path(str(file.locate()))
    raise BarsError(f"expected {_SAMPLE_FILE} in the package {_SAMPLE_PACKAGE}, which has none; install it again")


def _bars(listed: Instrument, rows: Iterable[dict[str, str]], name: str, *, quote_volume: bool) -> Iterator[SourceBar]:
    """Bars with trading in them; prices are rounded to the tick."""
    for number, row in enumerate(rows, 2):
        try:
            prices = [Decimal(row[column]) for column in ("open", "high", "low", "close")]
            volume = Decimal(row["volume"])
        except (KeyError, InvalidOperation) as error:
            raise BarsError(f"{name} line {number}: expected open, high, low, close, volume, was {row}") from error
        opened, high, low, close = (round(price / listed.tick) for price in prices)
        if not 0 < low <= min(opened, close) <= max(opened, close) <= high:
            raise BarsError(f"{name} line {number}: expected low <= open, close <= high, was {row}")
        base = volume / prices[3] if quote_volume else volume
        if base > 0:
            yield SourceBar(opened, high, low, close, max(1, int(base / listed.lot)))
