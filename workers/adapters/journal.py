"""The execution journal: an append-only, hash-chained file of everything that changed orders, books or states.

One JSON line per ``Record``. ``hash`` is SHA-256 over the previous hash's 32 bytes and the event's bytes, so that no
line can be changed, dropped or moved without the next one saying so. Lines are written and made durable in groups:
``commit`` returns when everything appended before it is on disk, and all waiters share one ``fdatasync``.

Lines sit in segments ``<first seq>.jsonl``. One process may write; the lock file names it.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec

from workers.engine.events import JournalEvent, Journalled, Record, SessionOpened
from workers.engine.folded import State

GENESIS: Final = "0" * 64
SEGMENT_BYTES: Final = 64 * 1024 * 1024
LOCK_NAME: Final = "journal.lock"
SEGMENT_NAME: Final = re.compile(r"^\d{16}\.jsonl$")


class JournalError(Exception):
    """Base of everything that can be wrong with the journal."""


class JournalLocked(JournalError):
    """Another process writes this journal."""


class JournalCorrupt(JournalError):
    """A line does not follow from the one before it; the message names file and line."""


class JournalUnavailable(JournalError):
    """The disk refused; nothing is lost, but nothing new is durable until a later commit succeeds."""


class _RawRecord(msgspec.Struct, frozen=True):
    seq: int
    hash: str
    event: msgspec.Raw


class Position(msgspec.Struct, frozen=True):
    """Where a journal stands: the last record's number and hash (0 and 64 zeros when empty)."""

    seq: int = 0
    hash: str = GENESIS


class Mark(msgspec.Struct, frozen=True):
    """One record's place: its number and hash, the hash before it, its file, and where its line starts and ends there.

    ``earlier`` holds the sizes of all files before that one, which never change; ``epoch`` is the highest until then.
    """

    seq: int
    hash: str
    before: str
    epoch: int
    segment: str
    start: int
    end: int
    earlier: dict[str, int]

    @property
    def position(self) -> Position:
        """Where a journal stands that ends with this record."""
        return Position(self.seq, self.hash)


class Start(NamedTuple):
    """What a snapshot holds: the state that the records up to ``mark`` give."""

    mark: Mark
    state: State


class Verification(msgspec.Struct, frozen=True):
    """Outcome of recomputing every line; ``problem`` names the first bad one."""

    ok: bool
    records: int
    last: Position
    problem: str = ""


_encode = msgspec.json.Encoder().encode
_raw_decoder = msgspec.json.Decoder(_RawRecord)
_event_decoder: msgspec.json.Decoder[Journalled] = msgspec.json.Decoder(Journalled)


def chain_hash(previous: str, event: bytes) -> str:
    """The hash of a record whose event is encoded as ``event`` and follows a record hashed ``previous``."""
    return hashlib.sha256(bytes.fromhex(previous) + event).hexdigest()


def segments(directory: Path) -> list[Path]:
    """The journal's segment files, oldest first."""
    return sorted(path for path in directory.glob("*.jsonl") if SEGMENT_NAME.match(path.name))


def _checked(line: bytes, after: Position, place: str) -> tuple[Record, Position]:
    """Decode one line and check that it follows ``after``; raise JournalCorrupt naming ``place``."""
    try:
        raw = _raw_decoder.decode(line)
        event = _event_decoder.decode(raw.event)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JournalCorrupt(f"{place}: not a journal record ({error})") from None
    if raw.seq != after.seq + 1:
        raise JournalCorrupt(f"{place}: expected seq {after.seq + 1}, was {raw.seq}")
    expected = chain_hash(after.hash, bytes(raw.event))
    if raw.hash != expected:
        raise JournalCorrupt(f"{place}: hash of seq {raw.seq} does not follow from its content and seq {after.seq}")
    return Record(seq=raw.seq, hash=raw.hash, event=event), Position(raw.seq, raw.hash)


def read(directory: Path, after: Mark | None = None) -> Iterator[Record]:
    """Every complete record in order, each checked against the chain; raises JournalCorrupt at the first bad one.

    With ``after`` those behind that record, which ``follows`` has found to be of this journal.
    """
    last = after.position if after else Position()
    for path in segments(directory):
        skipped = after is not None and path.name == after.segment
        if after is not None and path.name < after.segment:
            continue
        with path.open("rb") as file:
            if after is not None and skipped:
                file.seek(after.end)
            for number, line in enumerate(file, start=last.seq - int(path.stem) + 2 if skipped else 1):
                if not line.endswith(b"\n"):
                    return
                record, last = _checked(line, last, f"{path.name}:{number}")
                yield record


def locate(directory: Path, position: Position, epoch: int) -> Mark:
    """The place of the record at ``position``; JournalCorrupt when it is not there."""
    holding = [path for path in segments(directory) if int(path.stem) <= position.seq]
    before = GENESIS
    for path in holding[-2:]:
        end = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                start, end = end, end + len(line)
                raw = _raw_of(line, f"{path.name}:{number}")
                if raw is not None and (raw.seq, raw.hash) == (position.seq, position.hash):
                    earlier = {one.name: one.stat().st_size for one in holding if one.name < path.name}
                    return Mark(raw.seq, raw.hash, before, epoch, path.name, start, end, earlier)
                before = raw.hash if raw is not None else before
    raise JournalCorrupt(f"{directory}: seq {position.seq} is not there with the hash {position.hash}")


def follows(directory: Path, mark: Mark) -> None:
    """Check that the journal holds the marked record where it was and all files before it; JournalCorrupt, OSError."""
    sizes = {path.name: path.stat().st_size for path in segments(directory) if path.name < mark.segment}
    if sizes != mark.earlier:
        raise JournalCorrupt(f"the files before {mark.segment} are not those that there were")
    with (directory / mark.segment).open("rb") as file:
        file.seek(mark.start)
        line = file.read(mark.end - mark.start)
    _, position = _checked(line, Position(mark.seq - 1, mark.before), f"{mark.segment}@{mark.start}")
    if position != mark.position or not line.endswith(b"\n"):
        raise JournalCorrupt(f"{mark.segment}@{mark.start}: expected seq {mark.seq}, hash {mark.hash}")


def verify(directory: Path) -> Verification:
    """Recompute the whole chain and name the first bad line, if any."""
    last, count = Position(), 0
    try:
        for record in read(directory):
            last, count = Position(record.seq, record.hash), count + 1
    except JournalCorrupt as problem:
        return Verification(ok=False, records=count, last=last, problem=str(problem))
    return Verification(ok=True, records=count, last=last)


def _cut_torn_tail(path: Path) -> int:
    """Cut what a crash left half written at the end of the last segment; return the bytes cut.

    Only bytes that were never acknowledged can look like this: an unfinished last line, or zeros where the file
    system had grown the file before its data arrived.
    """
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    hole = data.find(b"\0")
    if hole >= 0:
        end = min(end, data.rfind(b"\n", 0, hole) + 1)
    if end == len(data):
        return 0
    with path.open("r+b") as file:
        file.truncate(end)
        os.fsync(file.fileno())
    return len(data) - end


def sync_directory(directory: Path) -> None:
    """Force names of files in ``directory`` to disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_lock(directory: Path) -> BinaryIO:
    """Hold the single-writer lock until the returned file is closed; the kernel drops it when the process dies."""
    file = (directory / LOCK_NAME).open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read(32).decode(errors="replace").strip() or "unknown"
        file.close()
        raise JournalLocked(
            f"journal {directory} is being written by process {holder}; stop that worker before starting another"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file


class Journal:
    """The one writer. ``append`` numbers and chains in memory; ``commit`` makes it durable.

    ``recovered`` holds the records found at opening until ``release_recovered`` is called, those behind ``start``
    where one is given; ``torn_bytes`` says how much of an unfinished write was cut off.
    """

    def __init__(self, directory: Path, *, segment_bytes: int = SEGMENT_BYTES, start: Start | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.start = start
        self._segment_bytes = segment_bytes
        self._lock = _take_lock(directory)
        try:
            self._recover()
        except BaseException:
            self._lock.close()
            raise
        self._pending: list[bytes] = []
        self._flush: asyncio.Task[None] | None = None
        self._broken: OSError | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal")

    def _recover(self) -> None:
        found = segments(self.directory)
        self.torn_bytes = _cut_torn_tail(found[-1]) if found else 0
        mark = self.start.mark if self.start else None
        self.recovered: tuple[Record, ...] = tuple(read(self.directory, mark))
        last = self.recovered[-1] if self.recovered else None
        begun = mark.position if mark else Position()
        self._appended = Position(last.seq, last.hash) if last else begun
        self._durable_seq = self._appended.seq
        epochs = (record.event.epoch for record in self.recovered if isinstance(record.event, SessionOpened))
        self.epoch = max(epochs, default=0 if mark is None else mark.epoch) + 1
        self._open_segment(found[-1] if found else self._segment_path(self._appended.seq + 1))

    def _segment_path(self, first_seq: int) -> Path:
        return self.directory / f"{first_seq:016d}.jsonl"

    def _open_segment(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size
        sync_directory(self.directory)

    @property
    def position(self) -> Position:
        """The last appended record, durable or not."""
        return self._appended

    @property
    def durable_seq(self) -> int:
        """Every record up to this number is on disk."""
        return self._durable_seq

    def release_recovered(self) -> None:
        """Let go of the memory of recovered records and of the state before them."""
        self.recovered, self.start = (), None

    def append(self, events: Sequence[JournalEvent]) -> None:
        """Number and chain ``events``; not durable before ``commit`` returns."""
        for event in events:
            body = _encode(event)
            digest = chain_hash(self._appended.hash, body)
            self._appended = Position(self._appended.seq + 1, digest)
            self._pending.append(b'{"seq":%d,"hash":"%s","event":%s}\n' % (self._appended.seq, digest.encode(), body))

    async def commit(self) -> None:
        """Return when everything appended so far is on disk; raise JournalUnavailable when the disk refuses."""
        target = self._appended.seq
        while self._durable_seq < target:
            if self._flush is None:
                self._flush = asyncio.create_task(self._flush_pending())
            await asyncio.shield(self._flush)

    async def _flush_pending(self) -> None:
        """One group: all that waits now. Whoever appends during the write goes with the next group."""
        loop = asyncio.get_running_loop()
        try:
            self._settle(await loop.run_in_executor(self._pool, self._write_out, tuple(self._pending)))
        finally:
            self._flush = None

    def commit_now(self) -> None:
        """``commit`` for callers outside the loop (start and stop, tools); blocks on the disk."""
        self._settle(self._write_out(tuple(self._pending)))

    def _settle(self, outcome: tuple[int, OSError | None]) -> None:
        lines, error = outcome
        del self._pending[:lines]
        self._durable_seq += lines
        if error is not None:
            raise JournalUnavailable(f"journal {self.directory} cannot be written: {error.strerror}") from error

    def _write_out(self, lines: tuple[bytes, ...]) -> tuple[int, OSError | None]:
        """Write and force to disk; return how many whole lines are durable and what stopped the rest."""
        if self._broken is not None:
            return 0, self._broken
        try:
            if self._size >= self._segment_bytes:
                self._roll()
        except OSError as error:
            return 0, error
        problem, written = self._write_bytes(b"".join(lines))
        whole, kept = _whole_lines(lines, written)
        try:
            if kept != written:
                os.ftruncate(self._file.fileno(), self._size + kept)
            os.fdatasync(self._file.fileno())
        except OSError as error:
            # After a failed sync nobody knows what is on disk: only a new start, which reads it back, may write again.
            self._broken = error
            return 0, error
        self._size += kept
        return whole, problem

    def _write_bytes(self, data: bytes) -> tuple[OSError | None, int]:
        view, written = memoryview(data), 0
        while written < len(data):
            try:
                written += os.write(self._file.fileno(), view[written:])
            except OSError as error:
                return error, written
        return None, written

    def _roll(self) -> None:
        """Go on in a new segment, named for the first record that is not yet on disk."""
        full = self._file
        self._open_segment(self._segment_path(self._durable_seq + 1))
        full.close()

    def close(self) -> None:
        """Write what is pending if the disk lets us, then give the lock back."""
        try:
            self.commit_now()
        finally:
            self._pool.shutdown()
            self._file.close()
            self._lock.close()


def _whole_lines(lines: tuple[bytes, ...], written: int) -> tuple[int, int]:
    """How many of ``lines`` the first ``written`` bytes hold completely, and their length in bytes."""
    count = kept = 0
    for line in lines:
        if kept + len(line) > written:
            break
        count, kept = count + 1, kept + len(line)
    return count, kept


class Tail:
    """Follows a journal that another process writes, from after a position that the caller has kept.

    What it hands out is durable: it syncs the segment first, so that a reader's database never knows of a record
    that a power cut could take back.
    """

    def __init__(self, directory: Path, after: Position) -> None:
        self._directory = directory
        self._position = after
        self._path: Path | None = None
        self._offset = 0

    @property
    def position(self) -> Position:
        """The last record handed out."""
        return self._position

    def read(self, limit: int) -> list[Record]:
        """Up to ``limit`` further records, empty when there are none yet; raises JournalCorrupt on a broken chain."""
        path = self._path or self._find()
        if path is None:
            return []
        records = self._read_from(path, limit)
        if records:
            return records
        successor = self._directory / f"{self._position.seq + 1:016d}.jsonl"
        if successor == path or not successor.exists():
            return []
        self._path, self._offset = successor, 0
        return self._read_from(successor, limit)

    def _find(self) -> Path | None:
        """Open the segment that holds the next record and stand right after ours, checking that it is ours."""
        wanted = self._position.seq + 1
        holding = [path for path in segments(self._directory) if int(path.stem) <= max(self._position.seq, 1)]
        if not holding:
            return None
        self._path = path = holding[-1]
        offset = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                raw = _raw_of(line, f"{path.name}:{number}")
                if raw is None or raw.seq >= wanted:
                    break
                offset += len(line)
                if raw.seq == self._position.seq and raw.hash != self._position.hash:
                    raise JournalCorrupt(
                        f"{path.name}:{number}: seq {raw.seq} has another hash than the one already projected"
                    )
        self._offset = offset
        return path

    def _read_from(self, path: Path, limit: int) -> list[Record]:
        records: list[Record] = []
        with path.open("rb") as file:
            file.seek(self._offset)
            lines = [line for line in islice(file, limit) if line.endswith(b"\n")]
            if lines:
                os.fdatasync(file.fileno())
        for line in lines:
            record, self._position = _checked(line, self._position, f"{path.name}@{self._offset}")
            self._offset += len(line)
            records.append(record)
        return records


def _raw_of(line: bytes, place: str) -> _RawRecord | None:
    if not line.endswith(b"\n"):
        return None
    try:
        return _raw_decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JournalCorrupt(f"{place}: not a journal record ({error})") from None
