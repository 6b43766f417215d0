"""Follows a venue's public feed and keeps every frame; knows the feed well enough to keep it replayable.

Binance's protocol goes to one file per instrument, as the paper venue replays them; other feeds, which number their
connection, to one file for all. A new file begins at midnight UTC and asks for fresh books, so that each can be
replayed by itself. The views beside the tape notice lost updates and have the books fetched again, which is recorded
like everything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from workers.adapters.binance.frames import PREFIX
from workers.adapters.binance.market_client import FrameTimes
from workers.adapters.feeds import BINANCE_LIKE, PUBLIC, Access, Endpoints, Handlers, open_feed
from workers.adapters.frame_errors import FrameError
from workers.adapters.recording import Header, RecordingWriter
from workers.engine.events import BookSnapshot, MarketEvent
from workers.engine.instruments import Instrument
from workers.engine.market.venues import Feature, rules_of
from workers.engine.market.view import MarketView, ViewConfig

DAY_NS: Final = 86_400 * 1_000_000_000
TICK_S: Final = 0.25


class Recorder:
    """One venue's feed to the files of one folder."""

    def __init__(
        self,
        venue: str,
        instruments: Mapping[str, Instrument],
        where: Endpoints,
        folder: Path,
        *,
        access: Access = PUBLIC,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._venue = venue
        self._folder = folder
        self._url = where.stream
        self._clock_ns = clock_ns
        self._writers: dict[str, RecordingWriter] = {}
        self._day = 0
        self._wanted: set[str] = set()
        """Instruments whose present file has no book yet."""
        config = ViewConfig(needs_book=rules_of(venue).supports(Feature.DEPTH))
        self.views = {symbol: MarketView(one, config) for symbol, one in instruments.items()}
        self.refused: Counter[str] = Counter()
        self._failure: OSError | None = None
        self.frames = 0
        self.bytes = 0
        handlers = Handlers(
            on_event=self._on_event,
            wants_snapshot=lambda symbol: symbol in self._wanted or self.views[symbol].wants_snapshot,
            on_refused=self._on_refused,
            tee=self.tee,
            clock_ns=clock_ns,
        )
        self.feed = open_feed(venue, list(instruments.values()), where, handlers, access=access)

    async def run(self, seconds: float = 0.0, on_tick: Callable[[], None] | None = None) -> None:
        """Record for ``seconds``, for ever when 0; files are whole whenever this ends. Raises OSError (disk full)."""
        task = asyncio.create_task(self.feed.run())
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds if seconds else float("inf")
        try:
            while not task.done() and loop.time() < until:
                await asyncio.wait({task}, timeout=min(TICK_S, max(0.0, until - loop.time())))
                if on_tick is not None:
                    on_tick()
                if self._failure is not None:
                    raise self._failure
            if task.done():
                task.result()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            self.close()

    @property
    def paths(self) -> list[Path]:
        """Files that are being written."""
        return sorted(writer.path for writer in self._writers.values())

    def tee(self, at_ns: int, raw: bytes, symbol: str) -> None:
        """One frame, before it is decoded."""
        if self._failure is not None:
            return
        if at_ns // DAY_NS != self._day:
            self._begin_day(at_ns)
        try:
            self._writer(self._key(raw, symbol), at_ns).append(at_ns, raw)
        except OSError as error:
            # Raised here it would only end the connection, and the next one would meet the same full disk.
            self._failure = error
            return
        self.frames += 1
        self.bytes += len(raw)

    def close(self) -> None:
        """Write what is left and close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _begin_day(self, at_ns: int) -> None:
        self.close()
        self._day = at_ns // DAY_NS
        self._wanted = set(self.views)

    def _key(self, raw: bytes, symbol: str) -> str:
        """Name of the file that a frame belongs to."""
        if self._venue not in BINANCE_LIKE:
            return self._venue
        if symbol:
            return symbol.lower()
        stream = raw[len(PREFIX) : raw.find(b"@", len(PREFIX))] if raw.startswith(PREFIX) else b""
        name = stream.decode("ascii", "replace")
        return name if name.upper() in self.views else "other"

    def _writer(self, key: str, at_ns: int) -> RecordingWriter:
        writer = self._writers.get(key)
        if writer is None:
            day = datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y%m%d")
            header = Header(venue=self._venue, url=self._url, start=at_ns, key=key)
            writer = self._writers[key] = RecordingWriter(self._folder / f"{key}_{day}.gz", header)
        return writer

    def _on_event(self, event: MarketEvent, times: FrameTimes) -> None:  # noqa: ARG002 - the client's signature
        if isinstance(event, BookSnapshot):
            self._wanted.discard(event.symbol)
        self.views[event.symbol].on_event(event, self._clock_ns())

    def _on_refused(self, error: FrameError) -> None:
        self.refused[error.reason] += 1
