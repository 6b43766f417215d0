"""The venue's append log: what it accepted and traded is on disk before anybody hears of it.

One JSON line per step of the engine. A thread writes and syncs what has gathered (group commit), so that the loop never
waits for the disk; a torn last line of a killed process is dropped when the log is opened again.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from workers.engine.execution.matching_types import VenueOrder


class VenueTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of ours; ``paid`` and ``received`` are (asset, atoms), the fee already taken off."""

    trade_id: int
    order_id: int
    symbol: str
    buy: bool
    price: int
    lots: int
    money: int
    maker: bool
    fee: int
    fee_asset: str
    ts: int
    paid: tuple[str, int]
    received: tuple[str, int]


class Entry(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line: balances given at first, the session's number, orders as they are now, trades."""

    ts: int
    genesis: dict[str, int] = {}
    session: int = 0
    orders: list[VenueOrder] = []
    trades: list[VenueTrade] = []


class JournalError(ValueError):
    """A log that cannot be read, with the line, or that another process holds."""


_ENTRY = msgspec.json.Decoder(Entry)


class Journal:
    """Appends entries; ``written`` of an append is done once the line is on disk. One process holds a log at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise JournalError(
                f"another paper venue is using {path.parent}; stop it or set GEKKO_VENUE_STATE"
            ) from None
        self._file: int | None = None
        self._pending: list[tuple[bytes, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._broken: OSError | None = None

    def entries(self) -> Iterator[Entry]:
        """Read the log and cut a torn last line off; JournalError for any other bad line."""
        if not self.path.exists():
            return
        whole = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                try:
                    yield _ENTRY.decode(line)
                except msgspec.DecodeError as error:
                    where = f"{self.path} line {number}"
                    raise JournalError(f"{where}: {error}; move the file away to start afresh") from error
        os.truncate(self.path, whole)

    def append(self, entry: Entry) -> asyncio.Future[None]:
        """Queue an entry; the future is done when it is durable, and carries the error when that failed.

        After a failure nothing is written any more: what follows a line that was cut could not be read again.
        """
        return self._queue(msgspec.json.encode(entry) + b"\n")

    async def flushed(self) -> None:
        """Return when all that was appended so far is durable; OSError when it will not be."""
        if self._broken is not None or (self._task is not None and not self._task.done()):
            await self._queue(b"")

    def _queue(self, line: bytes) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        self._pending.append((line, written))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._drain())
        return written

    async def _drain(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            try:
                if self._broken is not None:
                    raise self._broken
                await asyncio.to_thread(self._write, b"".join(line for line, _ in batch))
            except OSError as error:
                self._broken = error
                for _, written in batch:
                    written.set_exception(error)
                continue
            for _, written in batch:
                written.set_result(None)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        while data:
            data = data[os.write(self._file, data) :]
        os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)

    async def close(self) -> None:
        """Write what is queued and close the file."""
        if self._task is not None:
            await self._task
        if self._file is not None:
            os.close(self._file)
            self._file = None
        os.close(self._lock)
