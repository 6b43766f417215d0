"""A day of faults: worker and venues are killed, stopped and cut off, and what both wrote down must agree every time.

Real processes, the real wire, bars of a recorded day at one a second (a generated market where there is no data). The
load is a strategy that orders all the time, with parents of every algorithm, and parents of people. After each fault
the desk must trade again, and then the venue's own log, our journal and the books that follow from it must be the same:
no order or fill lost, none twice, no child without its parent, balances equal to the last digit.

Twice: at one venue, and with parents that are routed over several, each fault at one of them, every venue's log read.

``GEKKO_FAULTS=1000 python -m tests.perf faults`` for many; ``GEKKO_FAULT_SEED`` for another row; ``GEKKO_FAULT_VENUES``
for other venues alone, as in ``GEKKO_PAPER_VENUES`` (empty: the home venue alone).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

import uvloop

from tests.support.fault_day import Tally, day
from tests.support.fault_kinds import FAULTS
from tests.support.fault_machine import HOME, ROUTED_OVER, Machine
from workers.live.paper_venue.config import MarketKind

DEFAULT_COUNT: Final = 100
DEFAULT_SEED: Final = 19706
TOLD_EVERY: Final = 100


def _row(name: str, seconds: list[float], violations: int) -> str:
    ordered = sorted(seconds)
    p50, p99 = (ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in (0.5, 0.99))
    return f"{name:32} {len(ordered):6d} {p50:8.2f} {p99:8.2f} {ordered[-1]:8.2f} {violations:11d}"


def table(machine: Machine, tally: Tally, spent: float) -> None:
    """Print what there is to see."""
    books, venue = machine.journal.books, machine.log.view
    at = Counter(machine.log.at.values())
    print(f"{'fault':32} {'faults':>6} {'p50 s':>8} {'p99 s':>8} {'max s':>8} {'violations':>11}")
    for kind in FAULTS:
        if kind in tally.recoveries:
            print(_row(kind, tally.recoveries[kind], len(tally.violations.get(kind, ()))))
    print(_row("all", [one for row in tally.recoveries.values() for one in row], tally.total))
    ends = Counter(parent.status.value for parent in books.parents.values())
    orders = ", ".join(f"{place.name or HOME} {at[place.name]}" for place in machine.places)
    routed = sum(parent.routes > 0 for parent in books.parents.values())
    print(
        f"venues: {len(venue.orders)} orders ({orders}), {len(venue.trades)} trades; "
        f"journal: {len(books.orders)} orders, {books.fills} fills; parents: {dict(ends)}, {routed} of them routed; "
        f"epochs {books.epoch}; {machine.compared} comparisons with a venue agreed; {spent:.0f} s, "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def row(count: int, seed: int, venues: str, market: MarketKind, data: Path) -> str:
    """One row of faults; returns what was violated, empty for nothing."""
    played = f"home and {venues}" if venues else "home alone"
    print(f"{count} faults, seed {seed}, market {market}, venues: {played}; load {os.getloadavg()[0]:.1f}", flush=True)
    folder, begun = Path(tempfile.mkdtemp(prefix="gekko-faults-")), time.monotonic()

    def tell(number: int, machine: Machine, tally: Tally) -> None:
        if number % TOLD_EVERY == 0 and number < count:
            print(f"\nafter {number} faults")
            table(machine, tally, time.monotonic() - begun)

    machine, tally = uvloop.run(day(folder, market, data, count=count, seed=seed, venues=venues, tell=tell))
    table(machine, tally, time.monotonic() - begun)
    if tally.total:
        return f"{tally.total} violations; everything is in {folder}"
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
    return ""


def main() -> None:
    """Print the tables; exit with an error when anything was violated."""
    count = int(os.environ.get("GEKKO_FAULTS") or DEFAULT_COUNT)
    seed = int(os.environ.get("GEKKO_FAULT_SEED") or DEFAULT_SEED)
    given = os.environ.get("GEKKO_FAULT_VENUES")
    data = Path(os.environ.get("GEKKO_DATA") or Path(__file__).parents[3] / "shared" / "data")
    market = MarketKind.BARS if any(data.glob("ohlcv/btc-perp-*.csv.gz")) else MarketKind.SYNTHETIC
    rows = ("", ROUTED_OVER) if given is None else (given,)
    if problems := [problem for venues in rows if (problem := row(count, seed, venues, market, data))]:
        sys.exit("; ".join(problems))


if __name__ == "__main__":
    main()
