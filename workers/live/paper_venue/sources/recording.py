"""A raw recording of Binance spot streams, replayed: lines of ``<receive time in ns> <json>``, one file per symbol."""

from __future__ import annotations

import gzip
import heapq
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from workers.engine.instruments import Instrument
from workers.live.paper_venue.config import MarketKind, VenueConfig
from workers.live.paper_venue.sources.listing import instrument, listed
from workers.live.paper_venue.wire import BookFrame, DepthFrame, Frame, Session, StrLevel, TopFrame, TradeFrame

_NAME = re.compile(r"([a-z0-9]+)_(\d{8})\.gz")


class RecordingError(ValueError):
    """A recording that cannot be replayed, with file and line."""


class Payload(msgspec.Struct):
    """The union of a depth update, a best bid and offer, and a trade, as recorded."""

    e: str = ""
    event_time: int = msgspec.field(name="E", default=0)
    first_id: int = msgspec.field(name="U", default=0)
    last_id: int = msgspec.field(name="u", default=0)
    bids: list[StrLevel] | str = msgspec.field(name="b", default="")
    asks: list[StrLevel] | str = msgspec.field(name="a", default="")
    bid_qty: str = msgspec.field(name="B", default="")
    ask_qty: str = msgspec.field(name="A", default="")
    trade_id: int = msgspec.field(name="t", default=0)
    price: str = msgspec.field(name="p", default="")
    qty: str = msgspec.field(name="q", default="")
    trade_time: int = msgspec.field(name="T", default=0)
    buyer_maker: bool = msgspec.field(name="m", default=False)


class Line(msgspec.Struct):
    """A stream's message, or a whole book."""

    stream: str = ""
    data: Payload | None = None
    last_update_id: int = msgspec.field(name="lastUpdateId", default=0)
    bids: list[StrLevel] = []
    asks: list[StrLevel] = []


_DECODER = msgspec.json.Decoder(Line)


class RecordingSource:
    """All recordings of a folder, merged by receive time and looped."""

    kind = MarketKind.RECORDING
    bar_interval = "1s"

    def __init__(self, folder: Path, config: VenueConfig) -> None:
        self._lines: dict[str, list[tuple[int, bytes]]] = {}
        dates: set[str] = set()
        for path in sorted(folder.glob("*.gz")):
            name = _NAME.fullmatch(path.name)
            if name and listed(name[1].upper()):
                self._lines[name[1].upper()] = _read(path)
                dates.add(name[2])
        if not self._lines:
            raise RecordingError(
                f"expected recordings like btcusdt_20240808.gz in {folder}, found none; set GEKKO_DATA"
            )
        self._start = min(lines[0][0] for lines in self._lines.values())
        self._end = max(lines[-1][0] for lines in self._lines.values())
        self.instruments: tuple[Instrument, ...] = tuple(instrument(s, config) for s in self._lines)
        days = ", ".join(f"{d[:4]}-{d[4:6]}-{d[6:]}" for d in sorted(dates))
        self.label = f"RECORDING Binance spot {days}, looped"

    def session(self, number: int, history_from_ns: int) -> Session:  # noqa: ARG002 - every pass starts with its book
        """One pass over the recording."""
        return Session(self._end - self._start, self._frames())

    def _frames(self) -> Iterator[tuple[int, Frame]]:
        merged = heapq.merge(*(_frames(symbol, lines) for symbol, lines in self._lines.items()), key=lambda f: f[0])
        return ((at - self._start, frame) for at, frame in merged)


def _read(path: Path) -> list[tuple[int, bytes]]:
    lines: list[tuple[int, bytes]] = []
    with gzip.open(path) as file:
        for number, line in enumerate(file, 1):
            stamp, _, body = line.partition(b" ")
            if not stamp.isdigit() or not body:
                raise RecordingError(f"{path.name} line {number}: expected '<ns> <json>', was {line[:40]!r}")
            lines.append((int(stamp), body))
    if not lines:
        raise RecordingError(f"{path.name}: expected lines of '<ns> <json>', was empty")
    return lines


def _frames(symbol: str, lines: list[tuple[int, bytes]]) -> Iterator[tuple[int, Frame]]:
    """Frames from the first whole book on.

    A book may be older than depth changes that were recorded before it: by the exchange's rule these are kept and
    applied after it. Other frames before the book are dropped, since they cannot be placed.
    """
    opened = 0
    early: list[Payload] = []
    for at, body in lines:
        line = parse(body)
        if line.last_update_id:
            opened = line.last_update_id
            yield at, BookFrame(symbol, opened, line.bids, line.asks)
            kept = (frame_of(symbol, data, opened) for data in early)
            yield from ((at, frame) for frame in kept if frame is not None)
            early.clear()
        elif line.data is not None and opened:
            frame = frame_of(symbol, line.data, opened)
            if frame is not None:
                yield at, frame
        elif line.data is not None and line.data.e == "depthUpdate":
            early.append(line.data)


def parse(body: bytes | str) -> Line:
    """Decode one message; msgspec.DecodeError for what is none."""
    return _DECODER.decode(body)


def frame_of(symbol: str, data: Payload, opened: int) -> Frame | None:
    """A stream's payload as a frame; None for a book change that is not newer than ``opened``."""
    if data.e == "trade":
        age = max(data.event_time - data.trade_time, 0)
        return TradeFrame(symbol, data.trade_id, data.price, data.qty, data.buyer_maker, age)
    if data.last_id <= opened:
        return None
    if isinstance(data.bids, str) or isinstance(data.asks, str):
        return TopFrame(symbol, data.last_id, str(data.bids), data.bid_qty, str(data.asks), data.ask_qty)
    return DepthFrame(symbol, data.first_id, data.last_id, data.bids, data.asks)
