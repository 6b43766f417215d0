"""Raw feeds on disk: every frame with its receive time, byte for byte, in gzip members.

A file is lines of ``<receive time in ns> <frame>``; a frame that contains a newline is announced with its length,
``<ns>+<bytes> <frame>``. The first line is the header, as a frame of our own: ``{"gekko":{...}}``. What is written
together is one gzip member, so that a file cut anywhere, by a crash or a full disk, is readable to its last whole
frame, standard tools read it (``zcat``), and the paper venue replays it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

MARK: Final = b'{"gekko":'
MEMBER_BYTES: Final = 256 * 1024
MEMBER_NS: Final = 1_000_000_000
CHUNK: Final = 1 << 20
GZIP: Final = 31


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording is of; ``start`` in ns since 1970."""

    venue: str
    url: str
    start: int
    key: str = ""
    """The symbol, where each instrument has a file of its own."""
    format: int = 1


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """A frame that we wrote ourselves: the header, or the opening of a connection."""

    gekko: msgspec.Raw


class RecordingDamaged(ValueError):
    """A recording that is not one, or is broken elsewhere than at its end."""


def is_marker(raw: bytes) -> bool:
    """True for a frame that came from no venue."""
    return raw.startswith(MARK)


def connected_marker(url: str) -> bytes:
    """Says that a new connection begins, so that a replay forgets the sequence of the old one."""
    return msgspec.json.encode({"gekko": {"connected": url}})


class RecordingWriter:
    """Appends frames to one file. A file that was cut is repaired when it is opened again."""

    def __init__(self, path: Path, header: Header) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.frames = 0
        self.bytes = 0
        self._lines: list[bytes] = []
        self._held = 0
        self._written_ns = header.start
        fresh = not path.exists() or not repair(path)
        self._file = path.open("ab")
        if fresh:
            self._add(header.start, msgspec.json.encode({"gekko": header}))
            self.flush()

    def append(self, at_ns: int, raw: bytes) -> None:
        """Take one frame; written once a second or when enough have come together. Raises OSError."""
        self._add(at_ns, raw)
        self.frames += 1
        self.bytes += len(raw)
        if self._held >= MEMBER_BYTES or at_ns - self._written_ns >= MEMBER_NS:
            self._written_ns = at_ns
            self.flush()

    def _add(self, at_ns: int, raw: bytes) -> None:
        line = b"%d+%d %b\n" % (at_ns, len(raw), raw) if b"\n" in raw else b"%d %b\n" % (at_ns, raw)
        self._lines.append(line)
        self._held += len(line)

    def flush(self) -> None:
        """Hand what was taken to the operating system as one whole member. Raises OSError."""
        if self._lines:
            self._file.write(_member(b"".join(self._lines)))
            self._file.flush()
            self._lines.clear()
            self._held = 0

    def close(self) -> None:
        """Write what is left."""
        self.flush()
        self._file.close()


def read_frames(path: Path) -> Iterator[tuple[int, bytes]]:
    """``(receive time in ns, frame)`` to the last whole frame, markers included. Raises RecordingDamaged."""
    rest = b""
    for text in _texts(path):
        rest += text
        found, used = _split(rest, path)
        yield from found
        rest = rest[used:]


def read_header(path: Path) -> Header:
    """The header. Raises RecordingDamaged for a file without one."""
    for _, raw in read_frames(path):
        try:
            return msgspec.json.decode(msgspec.json.decode(raw, type=Marker).gekko, type=Header)
        except msgspec.DecodeError:
            break
    raise RecordingDamaged(f"{path.name} has no header of ours; expected a file of 'gekko data record'")


def repair(path: Path) -> bool:
    """Cut a file back to its last whole frame; False when it then is empty."""
    whole, tail = _whole_members(path)
    if whole < path.stat().st_size:
        kept, used = _split(tail, path)
        with path.open("r+b") as file:
            file.truncate(whole)
            if kept:
                file.seek(whole)
                file.write(_member(tail[:used]))
    return path.stat().st_size > 0


def is_cut(path: Path) -> bool:
    """True when the file ends within a member."""
    return _whole_members(path)[0] < path.stat().st_size


def _member(text: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP)
    return packer.compress(text) + packer.flush()


def _whole_members(path: Path) -> tuple[int, bytes]:
    """Length of the file's whole members, and the text of what follows them."""
    whole, at = 0, 0
    unpacker, tail = zlib.decompressobj(GZIP), b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            while chunk:
                tail += _unpack(unpacker, chunk, path, whole)
                at += len(chunk) - len(unpacker.unused_data)
                chunk = unpacker.unused_data
                if unpacker.eof:
                    whole, tail, unpacker = at, b"", zlib.decompressobj(GZIP)
    return whole, tail


def _texts(path: Path) -> Iterator[bytes]:
    unpacker, at = zlib.decompressobj(GZIP), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            while chunk:
                yield _unpack(unpacker, chunk, path, at)
                at += len(chunk) - len(unpacker.unused_data)
                chunk = unpacker.unused_data
                if unpacker.eof:
                    unpacker = zlib.decompressobj(GZIP)


def _unpack(unpacker: zlib._Decompress, chunk: bytes, path: Path, at: int) -> bytes:
    try:
        return unpacker.decompress(chunk)
    except zlib.error as error:
        raise RecordingDamaged(f"{path.name} is damaged near byte {at}: {error}") from error


def _split(text: bytes, path: Path) -> tuple[list[tuple[int, bytes]], int]:
    """Whole frames at the beginning of ``text``, and how much of it they are."""
    frames: list[tuple[int, bytes]] = []
    used = 0
    while (space := text.find(b" ", used)) > 0:
        stamp, _, length = text[used:space].partition(b"+")
        if not stamp.isdigit() or (length and not length.isdigit()):
            raise RecordingDamaged(f"{path.name}: expected '<ns> <frame>', was {text[used : used + 40]!r}")
        end = space + 1 + int(length) if length else text.find(b"\n", space)
        if end < 0 or end >= len(text):
            break
        frames.append((int(stamp), text[space + 1 : end]))
        used = end + 1
    return frames, used
