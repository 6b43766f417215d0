"""Snapshots of the journal while the desk trades: taken by a process of their own, which only reads the journal.

``python -m workers.live.execution.snapshots FOLDER`` takes one now; with ``check`` behind it folds the whole journal
anew instead, and says whether the newest snapshot is what the journal gives, byte for byte.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import click
import structlog

from workers.adapters import snapshots
from workers.adapters.journal import Journal, JournalError, Position, Tail, locate, read
from workers.engine.accounting.records import BooksError
from workers.engine.folded import Folded

LOOK_S: Final = 1.0
LONGEST_S: Final = 600.0
READ_AT_ONCE: Final = 5_000
NICE: Final = 10

log = structlog.get_logger(__name__)


def opened(directory: Path) -> Journal:
    """The journal of a worker that starts, from its newest snapshot on; JournalError."""
    found = snapshots.newest(directory)
    for path, why in found.refused.items():
        log.warning("a snapshot of the journal is not used", file=path.name, why=why)
    journal = Journal(directory, start=found.start)
    if journal.torn_bytes:
        log.warning("cut an unfinished record off the journal", bytes=journal.torn_bytes)
    since = found.start.mark.seq if found.start else 0
    log.info("journal read", snapshot=since, records=len(journal.recovered))
    return journal


def take(directory: Path) -> Position:
    """Fold what is durable behind the newest snapshot and keep it as the next one; returns where that stands.

    Newer ones that cannot be used are told of and deleted, so that they do not take the place of one that can.
    """
    (start, refused), folded = snapshots.newest(directory), Folded.empty()
    if start is not None:
        folded.restore(start.state)
    tail = Tail(directory, start.mark.position if start else Position())
    begun = tail.position
    while records := tail.read(READ_AT_ONCE):
        for record in records:
            folded.apply(record.event)
    if tail.position != begun:
        for path, why in refused.items():
            click.echo(f"{path.name} is deleted: {why}", err=True)
            path.unlink()
        snapshots.write(directory, locate(directory, tail.position, folded.epoch), folded)
    return tail.position


def check(directory: Path) -> str:
    """What is wrong with the newest snapshot, empty when the journal gives the same."""
    start = snapshots.newest(directory).start
    if start is None:
        return "there is no snapshot that can be used"
    whole, kept = Folded.empty(), Folded.empty()
    kept.restore(start.state)
    for record in read(directory):
        whole.apply(record.event)
        if record.seq == start.mark.seq:
            break
    same = whole.dump() == kept.dump()
    return "" if same else f"the snapshot at record {start.mark.seq} is not what the journal gives; delete it"


class Snapshots:
    """Has one taken whenever enough was journalled. A thread of its own: the trading loop does not notice."""

    def __init__(self, journal: Journal, every: int) -> None:
        """``every``: records between two snapshots, 0 for none."""
        self._journal = journal
        self._every = every
        self._from = journal.start.mark.seq if journal.start else 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to look."""
        if self._every:
            self._thread.start()

    def stop(self) -> None:
        """Take none any more; one that is being written is given up, which leaves the older ones."""
        self._stopped.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_S):
            if self._journal.durable_seq - self._from >= self._every:
                # One that fails is tried again after as many records, not at once.
                self._from = self._journal.durable_seq
                self._take()

    def _take(self) -> None:
        command = [sys.executable, "-m", __name__, str(self._journal.directory)]
        try:
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as self._process:
                problem = self._end_of(self._process)
        except OSError as error:
            problem = str(error)
        if problem and not self._stopped.is_set():
            log.warning("no snapshot of the journal was taken", why=problem)

    def _end_of(self, process: subprocess.Popen[bytes]) -> str:
        """Wait for it; returns what went wrong."""
        try:
            _, said = process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return f"it took longer than {LONGEST_S:.0f} s"
        lines = said.decode(errors="replace").strip().splitlines()
        if process.returncode:
            return lines[-1] if lines else "the process ended"
        for line in lines:
            log.warning("a snapshot of the journal was not used", why=line)
        return ""


def main(words: list[str]) -> int:
    """Exit status: 0 when it was done, 1 when it could not be, or a check failed."""
    folder = Path(words[0])
    os.nice(NICE)
    try:
        if words[1:] == ["check"]:
            problem = check(folder)
            click.echo(problem or "ok: the newest snapshot is what the journal gives")
            return int(bool(problem))
        click.echo(f"snapshot at record {take(folder).seq}")
    except (OSError, JournalError, BooksError) as error:
        click.echo(f"{folder}: {error}", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
