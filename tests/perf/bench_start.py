"""How long a worker reads its journal at start: the whole of it, and from the newest snapshot on.

SYNTHETIC journals of a desk that buys and sells in turn, four records an order; the tail behind the snapshot is as long
as it becomes between two snapshots. Every measurement is a process of its own, as a start is. The state after either
start must be the same, byte for byte.

``GEKKO_START_RECORDS=1000000 python -m tests.perf start`` for other lengths, with commas between them.
"""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.support.kernels import BTC, START, Rig
from workers.adapters import snapshots
from workers.adapters.journal import Journal, segments
from workers.engine import events as e
from workers.engine.config import KernelConfig
from workers.engine.folded import Folded
from workers.engine.kernel import Kernel
from workers.engine.vocabulary import Side
from workers.live.execution.config import LoopConfig
from workers.live.execution.snapshots import opened, take

LENGTHS: Final = "100000,400000,1000000"
AT_ONCE: Final = 10_000
TAIL: Final = int(next(one.default for one in msgspec.structs.fields(LoopConfig) if one.name == "snapshot_every"))


def templates() -> tuple[list[e.JournalEvent], list[e.JournalEvent]]:
    """What opens the journal, and the records of one order that is filled."""
    rig = Rig((BTC,)).open()
    opening = list(rig.journal)
    rig.top("BTCUSDT", 99_99, 100_01)
    client_id = rig.order("BTCUSDT", Side.BUY, 20_000, 100_01)
    if client_id is None:
        raise RuntimeError(f"expected an order, was denied: {rig.last_denial()}")
    rig.accept(client_id)
    rig.fill(client_id, 20_000, 100_01, fee=2_000)
    return opening, rig.journal[len(opening) :]


def order(number: int, records: list[e.JournalEvent]) -> list[e.JournalEvent]:
    """The ``number``-th order: every second one sells what the one before bought."""
    found = []
    for record in records:
        changes: dict[str, Any] = {"ts": START + number * 1_000_000_000}
        if isinstance(record, e.OrderIntended | e.OrderSent | e.OrderAccepted | e.OrderFilled):
            changes["client_id"] = f"gk1-0123456789ab-1-{number:x}"
        if isinstance(record, e.OrderIntended | e.OrderFilled) and number % 2:
            changes["side"] = Side.SELL
        if isinstance(record, e.OrderFilled):
            changes["trade_id"] = number
        found.append(msgspec.structs.replace(record, **changes))
    return found


def grow(folder: Path, records: int) -> None:
    """Let the journal in ``folder`` grow to so many records."""
    opening, one = templates()
    journal = Journal(folder)
    if not journal.position.seq:
        journal.append(opening)
    number = journal.position.seq
    journal.release_recovered()
    while journal.position.seq < records:
        journal.append([event for count in range(AT_ONCE // 4) for event in order(number + count, one)])
        journal.commit_now()
        number += AT_ONCE // 4
    journal.close()


def start(folder: Path, *, whole: bool) -> None:
    """Start as a worker does; prints seconds, records read, MiB held, and the digest of what it knows then."""
    begun = time.perf_counter()
    journal = Journal(folder) if whole else opened(folder)
    kernel = Kernel(KernelConfig())
    read = len(journal.recovered)
    kernel.recover(journal.recovered, journal.start.state if journal.start else None)
    journal.release_recovered()
    spent = time.perf_counter() - begun
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    folded = Folded(kernel.books, kernel.desk.risk.ledger, kernel.desk.routes)
    print(spent, read, held, hashlib.sha256(folded.dump()).hexdigest())
    journal.close()


def measured(folder: Path, how: str) -> tuple[float, int, int, str]:
    """One start in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, str(folder), how]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    spent, read, held, digest = done.stdout.splitlines()[-1].split()
    return float(spent), int(read), int(held), digest


def row(records: int) -> None:
    """A journal of so many records: replayed whole, and from a snapshot with the longest tail."""
    with tempfile.TemporaryDirectory(prefix="gekko-start-") as name:
        folder = Path(name)
        grow(folder, max(records - TAIL, AT_ONCE))
        begun = time.perf_counter()
        take(folder)
        taken = time.perf_counter() - begun
        kept = snapshots.paths(folder)[0].stat().st_size / 2**20
        grow(folder, records)
        size = sum(path.stat().st_size for path in segments(folder)) / 2**20
        whole, resumed = measured(folder, "whole"), measured(folder, "resumed")
    if whole[-1] != resumed[-1]:
        sys.exit(f"the state after {records} records is not the same from the snapshot on")
    print(
        f"{whole[1]:9,d} {size:9.0f} {whole[0]:9.2f} {whole[2]:8,d} {resumed[0]:13.2f} {resumed[1]:12,d} "
        f"{resumed[2]:8,d} {kept:12.0f} {taken:12.1f}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    if len(sys.argv) > 1:
        start(Path(sys.argv[1]), whole=sys.argv[2] == "whole")
        return
    print(
        f"{'records':>9} {'MiB':>9} {'whole s':>9} {'RSS MiB':>8} {'snapshot+tail':>13} {'tail records':>12} "
        f"{'RSS MiB':>8} {'snapshot MiB':>12} {'to take it s':>12}",
        flush=True,
    )
    for records in (os.environ.get("GEKKO_START_RECORDS") or LENGTHS).split(","):
        row(int(records))


if __name__ == "__main__":
    main()
