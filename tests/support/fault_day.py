"""A day of faults: one after another is let loose on a worker and a venue, and each must leave both logs the same."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.support.fault_kinds import FAULTS
from tests.support.fault_machine import SYMBOLS, Machine
from tests.support.truth import JournalView, differences, events
from workers.adapters import journal
from workers.adapters import snapshots as kept
from workers.engine.execution.parent import ParentRequest
from workers.engine.execution.routing.check import check
from workers.engine.vocabulary import Side
from workers.live.execution import snapshots
from workers.live.paper_venue.config import MarketKind

SECOND_NS: Final = 1_000_000_000
QUIET_S: Final = 60.0
PEOPLE: Final = 3
ALGORITHMS: Final[tuple[tuple[str, dict[str, Any], float], ...]] = (
    ("twap", {"slices": 8, "patience_s": 0.4}, 8.0),
    ("iceberg", {"display_lots": 40, "vary": 0.3, "reprice_s": 0.3}, 0.0),
    ("adaptive", {"steps": 6, "patience_s": 0.3}, 6.0),
)
ROUTED: Final[tuple[tuple[str, dict[str, Any], float], ...]] = (
    *ALGORITHMS,
    ("sweep", {}, 5.0),
    ("twap", {"slices": 6, "style": "take"}, 5.0),
)


class People:
    """Parents as the control plane's tables list them: a few at a time, now and then one cancelled."""

    def __init__(self, symbol: str, chance: random.Random, *, route: bool = False) -> None:
        self._route = route
        self.wanted: list[dict[str, Any]] = []
        self._symbol = symbol
        self._chance = chance
        self._numbers = itertools.count(1)

    def look(self, ended: set[str]) -> tuple[dict[str, Any], ...]:
        """The rows now: those that are over are gone, new ones in their place."""
        self.wanted = [row for row in self.wanted if row["parent_id"] not in ended]
        if self.wanted and self._chance.random() < 0.3:
            self._chance.choice(self.wanted)["cancelled"] = "thought better of it"
        while len(self.wanted) < PEOPLE:
            self.wanted.append(self._row())
        return tuple(self.wanted)

    def _row(self) -> dict[str, Any]:
        algorithm, params, seconds = self._chance.choice(ROUTED if self._route else ALGORITHMS)
        now = time.time_ns()
        request = ParentRequest(
            symbol=self._symbol,
            side=Side.BUY,
            lots=self._chance.randrange(100, 600),
            algorithm=algorithm,
            params=params,
            start=now,
            end=now + int(seconds * SECOND_NS) if seconds else 0,
            route=self._route,
        )
        name = f"hand-{next(self._numbers)}"
        return {"parent_id": name, "by": "ann", "request": msgspec.to_builtins(request), "cancelled": ""}


@dataclass
class Tally:
    """What came of the faults."""

    recoveries: dict[str, list[float]] = field(default_factory=dict)
    """Seconds from a fault's end to the next order that was decided after it, by kind."""
    violations: dict[str, set[str]] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    def blame(self, kind: str, problems: Sequence[str]) -> None:
        """Count what was not known before."""
        for problem in set(problems) - self.known:
            self.known.add(problem)
            self.violations.setdefault(kind, set()).add(problem)
            sys.stdout.write(f"VIOLATION after {kind}: {problem}\n")
            sys.stdout.flush()

    @property
    def total(self) -> int:
        return sum(map(len, self.violations.values()))


async def strike(machine: Machine, kind: str, chance: random.Random, people: People, tally: Tally) -> None:
    """One fault, the recovery from it, and the comparison."""
    books = machine.journal.books
    over = {name for name, parent in books.parents.items() if not parent.status.is_live}
    machine.want(parents=people.look(over))
    machine.strike(chance)
    await FAULTS[kind](machine, chance)
    ended_ns, begun = time.time_ns(), time.monotonic()
    if await machine.trades_since(ended_ns):
        tally.recoveries.setdefault(kind, []).append(time.monotonic() - begun)
    else:
        tally.recoveries.setdefault(kind, []).append(float("inf"))
        tally.blame(kind, [f"no order within {time.monotonic() - begun:.0f} s"])
    tally.blame(kind, await machine.agreement())
    tally.blame(kind, machine.ended)


async def settle(machine: Machine, tally: Tally) -> None:
    """Nothing is wanted any more: when all is quiet, everything is compared once more, from the first line on."""
    rows = tuple({**row, "cancelled": "the day is over"} for row in _live(machine))
    machine.want(trading=False, parents=rows)
    end = time.monotonic() + QUIET_S
    while machine.problems() or machine.journal.books.open_count or machine.journal.books.working:
        if time.monotonic() > end:
            tally.blame("at the end", ["orders or parents stayed open", *machine.problems()])
            break
        await asyncio.sleep(0.1)
    told = events(machine.folder / "journal")
    whole = JournalView()
    whole.take(told)
    tally.blame("at the end", differences(whole.view, await machine.truth()))
    tally.blame("at the end", differences(whole.view, machine.log.view))
    tally.blame("at the end", check(told)[1])
    if kept.newest(machine.folder / "journal").start is not None:
        problem = snapshots.check(machine.folder / "journal")
        tally.blame("at the end", [problem] if problem else [])
    verified = journal.verify(machine.folder / "journal")
    tally.blame("at the end", [] if verified.ok else [verified.problem])


def _live(machine: Machine) -> list[dict[str, Any]]:
    """Rows for the parents of people that still work, as far as they must be told to end."""
    books = machine.journal.books
    return [
        {"parent_id": name, "by": parent.by, "request": {}, "cancelled": ""}
        for name, parent in books.working.items()
        if not parent.run_id
    ]


Tell = Callable[[int, Machine, Tally], None]
"""Gets the number of faults so far, and what came of them."""


def silent(_number: int, _machine: Machine, _tally: Tally) -> None:
    """Tell nobody."""


async def day(
    folder: Path, market: MarketKind, data: Path, *, count: int, seed: int, venues: str = "", tell: Tell = silent
) -> tuple[Machine, Tally]:
    """``count`` faults, every kind as often as every other, in an order that the seed decides, at one of the venues."""
    chance, tally = random.Random(seed), Tally()
    kinds = [kind for kind, _ in zip(itertools.cycle(FAULTS), range(count), strict=False)]
    chance.shuffle(kinds)
    machine = Machine(folder, market, data, venues=venues)
    people = People(SYMBOLS[market][0], chance, route=bool(venues))
    try:
        await machine.open()
        if not await machine.trades_since(0):
            raise RuntimeError(f"the desk did not begin to trade; see the logs in {folder}")
        for number, kind in enumerate(kinds, 1):
            await strike(machine, kind, chance, people, tally)
            tell(number, machine, tally)
        await settle(machine, tally)
    finally:
        await machine.close()
    return machine, tally
