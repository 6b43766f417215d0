"""Checking a whole trail: every leaf is recomputed from its row's columns, and the first bad row is named.

A stored leaf hash is never trusted: comparing stored hashes alone would call an edited row consistent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from apps.audit.domain.canonical import GENESIS, Entry, chain_hash
from apps.audit.domain.checkpoints import Signed, signature_fault
from apps.audit.domain.merkle import Frontier

CLOCK_TOLERANCE: Final = timedelta(seconds=2)
"""Writers on several hosts may differ by this much without a finding."""

OVERDUE_AFTER: Final = timedelta(minutes=3)
"""A checkpoint is due each minute; entries that wait longer for theirs can be cut off unseen."""


class Kind(StrEnum):
    EDITED = "edited"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    FORKED = "forked"
    BAD_SIGNATURE = "bad_signature"
    CHECKPOINT_MISSING = "checkpoint_missing"
    CHECKPOINT_DAMAGED = "checkpoint_damaged"
    CLOCK = "clock_backwards"
    CHECKPOINT_OVERDUE = "checkpoint_overdue"


@dataclass(frozen=True)
class Finding:
    """What is wrong, at which entry (1-based; 0 where no entry is meant), in a sentence."""

    kind: Kind
    seq: int
    detail: str

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "seq": self.seq, "detail": self.detail}


@dataclass(frozen=True, kw_only=True)
class Row:
    entry: Entry
    prev_hash: bytes
    leaf_hash: bytes


@dataclass(frozen=True, kw_only=True)
class Head:
    """Where the log says that it ends."""

    size: int
    chain_hash: bytes
    last_seq: int
    """The highest ``seq`` present, read in one snapshot with ``size``."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """``ok`` means that nothing was altered; a clock that went back or a late checkpoint is a warning."""

    size: int
    root: bytes
    checkpoints: int
    findings: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings


class Verifier:
    """Feed rows in the order of ``seq``, then ``finish``.

    It stops at the first broken row, as what follows proves nothing.
    """

    def __init__(
        self,
        checkpoints: Sequence[Signed],
        keys: Mapping[str, Ed25519PublicKey],
        *,
        tolerance: timedelta = CLOCK_TOLERANCE,
    ) -> None:
        self._keys = keys
        self._tolerance = tolerance
        self._checkpoints = sorted(checkpoints, key=lambda signed: signed.statement.size)
        self._at_size: dict[int, list[Signed]] = {}
        for signed in self._checkpoints:
            self._at_size.setdefault(signed.statement.size, []).append(signed)
        self._chain = GENESIS
        self._frontier = Frontier()
        self._last_at: datetime | None = None
        self._moved: Row | None = None
        self._findings: list[Finding] = []
        self._warnings: list[Finding] = []
        self.broken = False

    @property
    def size(self) -> int:
        """Rows found good so far."""
        return self._frontier.size

    def feed(self, row: Row) -> bool:
        """Check the next row; False when the trail is broken here and no further row is wanted."""
        expected = self.size + 1
        if self._moved is not None:
            self._judge_move(self._moved, row)
        elif row.entry.seq != expected:
            self._break(Kind.DELETED, expected, f"entries {expected} to {row.entry.seq - 1} are missing")
        elif row.entry.leaf_hash() != row.leaf_hash:
            return self._mismatch(row, expected)
        elif row.prev_hash != self._chain:
            self._break(Kind.INSERTED, expected, f"entry {expected} does not follow entry {expected - 1}")
        else:
            self._accept(row)
        return not self.broken

    def _accept(self, row: Row) -> None:
        self._chain = chain_hash(self._chain, row.leaf_hash)
        self._frontier.append(row.leaf_hash)
        if self._last_at is not None and row.entry.at < self._last_at - self._tolerance:
            back = (self._last_at - row.entry.at).total_seconds()
            self._warnings.append(Finding(Kind.CLOCK, row.entry.seq, f"the clock went back by {back:.3f} s"))
        self._last_at = row.entry.at
        for signed in self._at_size.get(self.size, ()):
            self._compare(signed)

    def _compare(self, signed: Signed) -> None:
        said = signed.statement
        if (said.root, said.chain_hash) != (self._frontier.root(), self._chain):
            detail = f"the checkpoint at {said.size} ({signed.source}) signed another history up to here"
            self._break(Kind.FORKED, said.size, detail)

    def _mismatch(self, row: Row, expected: int) -> bool:
        """Say whether the row was edited in place or moved; a move takes a look at the next row."""
        if _written_as(row, expected - 1):
            detail = f"the entry at {expected} was written as {expected - 1}: one was inserted before it"
            self._break(Kind.INSERTED, expected - 1, detail)
        elif _written_as(row, expected + 1):
            self._moved = row
            return True
        elif row.prev_hash != self._chain:
            self._break(Kind.REORDERED, expected, f"entry {expected} is not the one that was written here")
        else:
            self._break(Kind.EDITED, expected, f"the columns of entry {expected} do not give its hash")
        return False

    def _judge_move(self, moved: Row, following: Row | None) -> None:
        seq = moved.entry.seq
        if following is not None and _written_as(following, following.entry.seq - 1):
            self._break(Kind.REORDERED, seq, f"entries {seq} and {seq + 1} changed places")
        else:
            self._break(Kind.DELETED, seq, f"the entry at {seq} was written as {seq + 1}: one before it is gone")
        self._moved = None

    def finish(self, head: Head | None) -> Result:
        """Compare with the head and with every signed checkpoint."""
        if self._moved is not None:
            self._judge_move(self._moved, None)
        if not self.broken:
            self._check_end(head)
        for signed in self._checkpoints:
            fault = signature_fault(signed, self._keys)
            if fault:
                place = f"checkpoint at {signed.statement.size} ({signed.source})"
                self._findings.append(Finding(Kind.BAD_SIGNATURE, signed.statement.size, f"{place}: {fault}"))
        return Result(
            size=self.size,
            root=self._frontier.root(),
            checkpoints=len(self._checkpoints),
            findings=self._findings,
            warnings=self._warnings,
        )

    def _check_end(self, head: Head | None) -> None:
        size = self.size
        largest = self._checkpoints[-1] if self._checkpoints else None
        if head is None:
            if size or largest:
                self._break(Kind.TRUNCATED, size + 1, "the head of the chain is missing")
        elif head.last_seq > head.size:
            self._break(Kind.INSERTED, head.size + 1, f"entries beyond the head, which is at {head.size}")
        elif head.size > size:
            self._break(Kind.TRUNCATED, size + 1, f"the trail ends at {size}, its head says {head.size}")
        elif head.size == size and head.chain_hash != self._chain:
            self._break(Kind.FORKED, size, "the head belongs to another history")
        if largest is not None and largest.statement.size > size and not self.broken:
            signed = f"a checkpoint ({largest.source}) was signed at {largest.statement.size}"
            self._break(Kind.TRUNCATED, size + 1, f"the trail ends at {size}, but {signed}")

    def _break(self, kind: Kind, seq: int, detail: str) -> None:
        self._findings.append(Finding(kind, seq, detail))
        self.broken = True


def _written_as(row: Row, seq: int) -> bool:
    """Whether the stored hash is that of the same columns under another ``seq``."""
    return replace(row.entry, seq=seq).leaf_hash() == row.leaf_hash


def compare_copies(database: Sequence[Signed], file: Sequence[Signed]) -> list[Finding]:
    """Checkpoints that one of the two places lacks. The file may lag behind by those newer than its last line."""
    in_database = {signed.statement.size for signed in database}
    in_file = {signed.statement.size for signed in file}
    last_in_file = max(in_file, default=0)
    lost_there = [size for size in sorted(in_database - in_file) if size < last_in_file]
    gone = [(size, "the database") for size in sorted(in_file - in_database)]
    gone += [(size, "the file") for size in lost_there]
    return [
        Finding(Kind.CHECKPOINT_MISSING, size, f"the checkpoint at {size} is gone from {place}") for size, place in gone
    ]


def overdue(signed: int, waiting_since: datetime | None, now: datetime) -> list[Finding]:
    """A warning when the first entry after the ``signed`` ones was written long ago; None when there is none.

    The age of the checkpoint itself says nothing: while nothing happens, none is due.
    """
    if waiting_since is None or now - waiting_since <= OVERDUE_AFTER:
        return []
    minutes = (now - waiting_since).total_seconds() / 60
    detail = f"entries from {signed + 1} on have had no checkpoint for {minutes:.0f} minutes; is the control worker up?"
    return [Finding(Kind.CHECKPOINT_OVERDUE, signed + 1, detail)]
