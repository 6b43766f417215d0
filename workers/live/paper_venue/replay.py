"""Plays a source's sessions in time: history first, then the session, a break, and the next one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec

from workers.live.paper_venue.venue import Venue
from workers.live.paper_venue.wire import Frame, MarketSource, TopFrame, TradeFrame

log = logging.getLogger(__name__)

TimedFrame = tuple[int, Frame]

_NS = 1_000_000_000
_MS = 1_000_000
_SHOWN_AT_ONCE = 2_000
_PLAYED_AT_ONCE = 64
_DUE_WITHIN_NS = 500_000
_SHIFT_BEYOND_NS = _NS
"""A replay that was stopped for longer than this goes on where it was, instead of catching up in a burst."""


class Position(msgspec.Struct):
    """How far the replay has come, kept so that a restarted venue goes on at the same prices."""

    source: str
    number: int
    offset_ns: int


class Replayer:
    """Drives the venue's market from a source."""

    def __init__(self, venue: Venue, source: MarketSource) -> None:
        self._venue = venue
        self._source = source
        self._speed = venue.config.speed
        self._path: Path = venue.config.state_dir / "replay.json"
        self._preroll_ns = round(venue.config.preroll_s * venue.config.speed * _NS)
        self._saved_ns = 0
        self._ends = 0
        self._saving: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Play for ever."""
        position = self._load()
        number = position.number if position else 1
        skip = max(self._preroll_ns, position.offset_ns if position else 0)
        while True:
            await self._session(number, skip)
            number, skip = number + 1, 0

    async def _session(self, number: int, skip_ns: int) -> None:
        venue, market = self._venue, self._venue.market
        session = self._source.session(number, skip_ns - self._preroll_ns)
        if skip_ns >= session.duration_ns:
            session, skip_ns = self._source.session(number, 0), 0
        start = venue.clock() - self._wall(skip_ns)
        ends = start + self._wall(session.duration_ns)
        market.begin(venue.next_session(), start // _MS, ends // _MS)
        frames = await self._show(session.frames, start, skip_ns)
        start = venue.clock() - self._wall(skip_ns)
        self._ends = start + self._wall(session.duration_ns)
        market.closes_ms = self._ends // _MS
        market.start_trading(venue.clock())
        await self._play(number, frames, start)
        await asyncio.sleep(max(0, self._ends - venue.clock()) / _NS)
        market.stop_trading(venue.clock())
        log.info("session %d ended after pass %d of %s", market.session_id, number, self._source.label)
        await asyncio.sleep(venue.config.break_s)

    def _wall(self, offset_ns: int) -> int:
        return int(offset_ns / self._speed)

    async def _show(self, frames: Iterator[TimedFrame], start: int, skip_ns: int) -> Iterator[TimedFrame]:
        """Take the session's first part into books and candlesticks, and all that the first books need."""
        market = self._venue.market
        waiting = {i.symbol for i in self._source.instruments}
        for count, (offset, frame) in enumerate(frames):
            if offset > skip_ns and not waiting:
                return chain([(offset, frame)], frames)
            waiting.discard(frame.symbol)
            market.show(frame, (start + self._wall(offset)) // _MS)
            if count % _SHOWN_AT_ONCE == 0:
                await asyncio.sleep(0)
        return iter(())

    async def _play(self, number: int, frames: Iterator[TimedFrame], start: int) -> None:
        venue, market = self._venue, self._venue.market
        for count, (offset, frame) in enumerate(frames):
            due = start + self._wall(offset)
            ahead = due - venue.clock()
            if ahead > _DUE_WITHIN_NS or count % _PLAYED_AT_ONCE == 0:
                await asyncio.sleep(max(ahead, 0) / _NS)
            if venue.faults.pause_feed_ms:
                await self._pause()
            now = venue.clock()
            late = venue.lag_ns = now - due
            if late > _SHIFT_BEYOND_NS:
                start += late
                self._ends += late
                market.move_close(self._ends // _MS, now)
            market.apply(self._spiked(frame), now)
            if now - self._saved_ns > _NS:
                self._saved_ns = now
                saving = Position(self._source.label, number, offset)
                self._saving = asyncio.create_task(asyncio.to_thread(self._save, saving))

    async def _pause(self) -> None:
        """Fault: hold the feed."""
        pause, self._venue.faults.pause_feed_ms = self._venue.faults.pause_feed_ms, 0
        await asyncio.sleep(pause / 1000)

    def _spiked(self, frame: Frame) -> Frame:
        """Fault: a price that is far off for a moment."""
        faults = self._venue.faults
        if not isinstance(frame, TopFrame | TradeFrame) or not faults.spend("spike_frames"):
            return frame
        grid, factor = self._venue.desk.grids[frame.symbol], 1 + faults.spike_bps / 10_000

        def off(price: str) -> str:
            return grid.price(max(round(grid.ticks(price) * factor), 1))

        if isinstance(frame, TradeFrame):
            return msgspec.structs.replace(frame, price=off(frame.price))
        return msgspec.structs.replace(frame, bid=off(frame.bid), ask=off(frame.ask))

    def _save(self, position: Position) -> None:
        temporary = self._path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(position))
        temporary.replace(self._path)

    def _load(self) -> Position | None:
        try:
            position = msgspec.json.decode(self._path.read_bytes(), type=Position)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return position if position.source == self._source.label else None
