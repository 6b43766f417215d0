"""Snapshots of what the execution journal folds to, so that a start replays only the records behind the newest one.

``<journal>/snapshots/<seq>.snapshot``: a line of JSON (``Header``), then the state as ``Folded.dump`` writes it. A
snapshot is bound to its record in the journal, by number, hash, file and place, and to the code that folded it. One
that is damaged, of other code, or of another journal is refused, and an older one or the whole journal is taken.
Journal files are never changed; leaving all snapshots out is always right, only slower.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

import workers.engine
from workers.adapters.journal import JournalCorrupt, Mark, Start, follows, sync_directory
from workers.engine.folded import Folded, decode

FOLDER: Final = "snapshots"
SNAPSHOT_NAME: Final = re.compile(r"^\d{16}\.snapshot$")
FORMAT: Final = 1
KEPT: Final = 2
"""Snapshots that stay; the older one is for when the newest cannot be used."""


class SnapshotRefused(ValueError):
    """A snapshot that must not be used; the message says why."""


class Header(msgspec.Struct, frozen=True):
    """``digest`` is SHA-256 over format, code, mark and body."""

    format: int
    code: str
    mark: Mark
    digest: str


class Found(NamedTuple):
    """The newest snapshot that may be used, if any, and why newer ones may not, by file."""

    start: Start | None
    refused: dict[Path, str]


@cache
def code_version() -> str:
    """Digest of the engine's sources and of what reads and writes its records: other code may fold otherwise."""
    root = Path(workers.engine.__file__).parent
    digest = hashlib.sha256(f"{sys.version_info[:2]} {msgspec.__version__}".encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(f"\n{path.relative_to(root)} ".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def paths(directory: Path) -> list[Path]:
    """The snapshots of the journal in ``directory``, newest first."""
    found = (path for path in (directory / FOLDER).glob("*.snapshot") if SNAPSHOT_NAME.match(path.name))
    return sorted(found, reverse=True)


def newest(directory: Path) -> Found:
    """The newest snapshot that holds; never raises for one that does not."""
    refused: dict[Path, str] = {}
    for path in paths(directory):
        try:
            return Found(load(path), refused)
        except SnapshotRefused as why:
            refused[path] = str(why)
    return Found(None, refused)


def load(path: Path) -> Start:
    """The snapshot in ``path``, checked against itself, this code and its journal; SnapshotRefused."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        header = msgspec.json.decode(head, type=Header)
    except (OSError, ValueError) as error:
        raise SnapshotRefused(f"it cannot be read ({error})") from error
    if header.format != FORMAT or header.code != code_version():
        raise SnapshotRefused("it was written by another version of the code")
    if header.digest != _digest(header.code, header.mark, body):
        raise SnapshotRefused("it is damaged: its content is not what its digest says")
    try:
        follows(path.parent.parent, header.mark)
    except (OSError, JournalCorrupt) as error:
        raise SnapshotRefused(f"it is not of this journal ({error})") from error
    try:
        return Start(header.mark, decode(body))
    except ValueError as error:
        raise SnapshotRefused(f"it holds no state ({error})") from error


def write(directory: Path, mark: Mark, folded: Folded) -> Path:
    """Keep ``folded``, which is what the journal gives up to ``mark``; older snapshots than the newest two go.

    Written beside, forced to disk and then renamed: a crash leaves the older ones as they are. OSError, also while
    another process writes one; RuntimeError for a state that does not come back as it was, which would be a defect.
    """
    body = folded.dump()
    again = Folded.empty()
    again.restore(decode(body))
    if again.dump() != body:
        raise RuntimeError(f"the state at record {mark.seq} does not come back as it was written")
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _write(folder, mark, body)
    finally:
        os.close(lock)


def _write(folder: Path, mark: Mark, body: bytes) -> Path:
    header = Header(FORMAT, code_version(), mark, _digest(code_version(), mark, body))
    path, new = folder / f"{mark.seq:016d}.snapshot", folder / "next.new"
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(header) + b"\n")
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_directory(folder)
    for old in paths(folder.parent)[KEPT:]:
        old.unlink()
    return path


def _digest(code: str, mark: Mark, body: bytes) -> str:
    return hashlib.sha256(msgspec.json.encode((FORMAT, code, mark)) + b"\n" + body).hexdigest()
