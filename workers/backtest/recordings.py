"""Raw recordings as market events: Binance spot frames, decoded by the decoder of live trading.

A file holds ``<receive ns> <frame>`` per line, plain or gzipped; depth snapshots are lines of their own. Lines that the
decoder refuses are counted, not guessed at.
"""

from __future__ import annotations

import gzip
import hashlib
import heapq
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from workers.adapters.binance.frames import PREFIX, FrameDecoder, FrameError
from workers.backtest.books import Replay
from workers.backtest.config import BacktestError
from workers.engine.events import MarketEvent
from workers.engine.instruments import Instrument

LISTED: Final[dict[str, tuple[str, str, str, str]]] = {
    "BTCUSDT": ("BTC", "USDT", "0.01", "0.00001"),
    "ETHUSDT": ("ETH", "USDT", "0.01", "0.0001"),
}
"""Base, quote, tick and lot of the instruments whose recordings need no further word."""
_NAME: Final = re.compile(r"^([a-zA-Z0-9]+)_")

AT_ONCE: Final = 4096
BYTES_PER_EVENT: Final = 31
"""A rough guess of a zipped frame's size, for progress bars."""


class Recorded:
    """Events of one raw file; iterate it as often as wanted. ``refused`` counts lines that are no market data."""

    def __init__(self, path: Path, instrument: Instrument) -> None:
        self.path = path
        self.instrument = instrument
        self.refused = 0

    def __iter__(self) -> Iterator[MarketEvent]:
        frames, self.refused = FrameDecoder([self.instrument]), 0
        with _opened(self.path) as file:
            read = 0
            while lines := list(islice(file, AT_ONCE)):
                # Many at once: decoding and trading in turns would push each other out of the processor's caches.
                yield from self._decoded(frames, lines, read)
                read += len(lines)

    def _decoded(self, frames: FrameDecoder, lines: Sequence[bytes], read: int) -> list[MarketEvent]:
        """Events of ``lines``, which follow the first ``read`` lines of the file."""
        decode, symbol = frames.decode, self.instrument.symbol
        events: list[MarketEvent] = []
        for number, line in enumerate(lines, read + 1):
            at, _, raw = line.partition(b" ")
            try:
                event = decode(raw, int(at)) if raw.startswith(PREFIX) else frames.snapshot(symbol, raw, int(at))
            except FrameError:
                self.refused += 1
            except ValueError:
                raise BacktestError(f"{self.path.name} line {number}: expected '<ns> <json>', was {line[:40]!r}")
            else:
                if event is not None:
                    events.append(event)
        return events


class _Merged:
    """Several recordings in order of receipt."""

    def __init__(self, parts: Sequence[Recorded]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[MarketEvent]:
        return heapq.merge(*self._parts, key=lambda event: event.ts_recv)


def load_recording(
    *paths: str | Path, tick: str = "", lot: str = "", decoded: bool = False, depth: bool = True
) -> Replay:
    """Recordings to replay together, one instrument each, named ``<symbol>_<anything>``.

    ``tick`` and ``lot`` are needed for an instrument that is not listed here. With ``decoded`` all events are kept in
    memory, which makes repeated runs faster. ``depth`` False trades on the recorded quotes alone.
    """
    parts = [Recorded(path, _instrument(path, tick, lot)) for path in map(Path, paths)]
    if not parts:
        raise BacktestError("expected at least one recording")
    events: Iterable[MarketEvent] = parts[0] if len(parts) == 1 else _Merged(parts)
    return Replay(
        instruments=tuple(part.instrument for part in parts),
        events=list(events) if decoded else events,
        digest=hashlib.sha256("".join(_digest(part.path) for part in parts).encode()).hexdigest(),
        depth=depth,
        count=sum(part.path.stat().st_size for part in parts) // BYTES_PER_EVENT,
        label=", ".join(part.path.name for part in parts),
    )


def _instrument(path: Path, tick: str, lot: str) -> Instrument:
    if not path.is_file():
        raise BacktestError(f"there is no file {path}")
    named = _NAME.match(path.name)
    symbol = named.group(1).upper() if named else ""
    base, quote, known_tick, known_lot = LISTED.get(symbol, (symbol[:-4], symbol[-4:], tick, lot))
    if not symbol or not (tick or known_tick) or not (lot or known_lot):
        raise BacktestError(f"{path.name}: expected a name like btcusdt_20240808.gz, or give tick and lot")
    return Instrument(
        venue="simulated",
        symbol=symbol,
        base=base,
        quote=quote,
        tick=Decimal(tick or known_tick),
        lot=Decimal(lot or known_lot),
        min_lots=1,
        max_lots=10**15,
        min_notional=Decimal(0),
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
    )


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as probe:
        zipped = probe.read(2) == b"\x1f\x8b"
    if not zipped:
        return path.open("rb")
    return io.BufferedReader(gzip.open(path), 1 << 20)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
