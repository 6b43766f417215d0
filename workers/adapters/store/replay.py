"""Recordings through the decoders of their live feeds: the same events, with the same times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from workers.adapters.binance.frames import PREFIX, FrameDecoder
from workers.adapters.frame_errors import FrameError
from workers.adapters.recording import is_marker, read_frames
from workers.engine.events import MarketEvent
from workers.engine.instruments import Instrument


class Decoder(Protocol):
    """Frames of a feed to events."""

    def restart(self) -> None: ...
    def decode(self, raw: bytes, ts_recv: int) -> Sequence[MarketEvent]: ...


class BinanceReplay:
    """Stream frames and REST snapshots of one instrument, as its recording has them."""

    def __init__(self, instrument: Instrument) -> None:
        self._symbol = instrument.symbol
        self._frames = FrameDecoder([instrument])

    def restart(self) -> None:
        """Update ids go over connections: nothing is to be forgotten."""

    def decode(self, raw: bytes, ts_recv: int) -> Sequence[MarketEvent]:
        """One event at most. Raises FrameError."""
        if raw.startswith(PREFIX):
            event = self._frames.decode(raw, ts_recv)
            return () if event is None else (event,)
        return (self._frames.snapshot(self._symbol, raw, ts_recv),)


def replay(path: Path, decoder: Decoder, refused: list[FrameError] | None = None) -> Iterator[MarketEvent]:
    """Events of a recording in order of arrival. Raises what the decoder refuses, unless ``refused`` collects it."""
    for at, raw in read_frames(path):
        if is_marker(raw):
            decoder.restart()
            continue
        try:
            yield from decoder.decode(raw, at)
        except FrameError as error:
            if refused is None:
                raise
            refused.append(error)
