"""Plays a source's sessions in time: history first, then the session, a break, and the next one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec

from workers.live.paper_venue.stage import Stage
from workers.live.paper_venue.wire import Frame, MarketSource

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
    """Drives the market of all venues from a source."""

    def __init__(self, stage: Stage, source: MarketSource) -> None:
        self._stage = stage
        self._source = source
        self._speed = stage.config.speed
        self._path: Path = stage.config.state_dir / "replay.json"
        self._preroll_ns = round(stage.config.preroll_s * stage.config.speed * _NS)
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
        stage = self._stage
        session = self._source.session(number, skip_ns - self._preroll_ns)
        if skip_ns >= session.duration_ns:
            session, skip_ns = self._source.session(number, 0), 0
        start = stage.clock() - self._wall(skip_ns)
        ends = start + self._wall(session.duration_ns)
        stage.begin(start // _MS, ends // _MS, number)
        frames = await self._show(session.frames, start, skip_ns)
        start = stage.clock() - self._wall(skip_ns)
        self._ends = start + self._wall(session.duration_ns)
        stage.start_trading(stage.clock(), self._ends // _MS)
        await self._play(number, frames, start)
        await asyncio.sleep(max(0, self._ends - stage.clock()) / _NS)
        stage.stop_trading(stage.clock())
        log.info("session %d ended after pass %d of %s", stage.home.market.session_id, number, self._source.label)
        await asyncio.sleep(stage.config.break_s)

    def _wall(self, offset_ns: int) -> int:
        return int(offset_ns / self._speed)

    async def _show(self, frames: Iterator[TimedFrame], start: int, skip_ns: int) -> Iterator[TimedFrame]:
        """Take the session's first part into books and candlesticks, and all that the first books need."""
        waiting = {i.symbol for i in self._source.instruments}
        for count, (offset, frame) in enumerate(frames):
            if offset > skip_ns and not waiting:
                return chain([(offset, frame)], frames)
            waiting.discard(frame.symbol)
            self._stage.show(frame, offset, (start + self._wall(offset)) // _MS)
            if count % _SHOWN_AT_ONCE == 0:
                await asyncio.sleep(0)
        return iter(())

    async def _play(self, number: int, frames: Iterator[TimedFrame], start: int) -> None:
        stage, home = self._stage, self._stage.home
        for count, (offset, frame) in enumerate(frames):
            due = start + self._wall(offset)
            ahead = due - stage.clock()
            if ahead > _DUE_WITHIN_NS or count % _PLAYED_AT_ONCE == 0:
                await asyncio.sleep(max(ahead, 0) / _NS)
            now = stage.clock()
            late = home.lag_ns = now - due
            if late > _SHIFT_BEYOND_NS:
                start += late
                self._ends += late
                stage.move_close(self._ends // _MS, now)
            stage.apply(frame, offset, now)
            if now - self._saved_ns > _NS:
                self._saved_ns = now
                saving = Position(self._source.label, number, offset)
                self._saving = asyncio.create_task(asyncio.to_thread(self._save, saving))

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
