"""The trading process and its venue as processes: whatever happens to them, none lost, none twice, books equal."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.fault_day import Tally, day, settle
from tests.support.fault_kinds import FAULTS
from tests.support.fault_machine import ROUTED_OVER, Machine
from tests.support.truth import events
from workers.engine.events import OrderIntended, ReconciliationDone
from workers.live.paper_venue.config import MarketKind

pytestmark = pytest.mark.fault
SECOND_NS = 1_000_000_000
SEED = 11
# Longer than the loop may be silent, and than a decision may wait for its way out.
STOPPED_S = 4.0


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    """Both processes, trading."""
    made = Machine(tmp_path, MarketKind.SYNTHETIC, tmp_path)
    try:
        await made.open()
        assert await made.trades_since(0)
        yield made
    finally:
        await made.close()


async def test_every_kind_of_fault_at_one_of_several_venues_leaves_all_logs_the_same(tmp_path: Path) -> None:
    """Kills, stops, cut wires, wrong answers, full disks in a row; ``tests/perf/bench_faults`` does a thousand.

    Parents are routed over three venues; each fault is at one of them, and all of their logs are read.
    """
    machine, tally = await day(
        tmp_path, MarketKind.SYNTHETIC, tmp_path, count=len(FAULTS), seed=SEED, venues=ROUTED_OVER
    )
    assert not tally.violations
    assert set(tally.recoveries) == set(FAULTS)
    assert {machine.log.at[client_id] for client_id in machine.log.taken} == {"", "beta", "dark"}
    assert sum(parent.routes > 0 for parent in machine.journal.books.parents.values()) > len(FAULTS) // 2
    assert machine.journal.books.fills > len(FAULTS)


async def test_a_stopped_trading_process_wakes_late_and_trusts_nothing(machine: Machine) -> None:
    machine.signal("worker", signal.SIGSTOP)
    stopped = time.time_ns()
    await asyncio.sleep(STOPPED_S)
    woken = time.time_ns()
    machine.signal("worker", signal.SIGCONT)
    assert await machine.trades_since(woken)
    told = events(machine.folder / "journal")
    compared = next(
        event.ts for event in told if isinstance(event, ReconciliationDone) and event.ok and event.ts > woken
    )
    assert not [e for e in told if isinstance(e, OrderIntended) and stopped + SECOND_NS < e.ts < compared]
    tally = Tally()
    await settle(machine, tally)
    assert not tally.violations


async def test_a_second_worker_on_the_same_journal_ends_at_once(machine: Machine) -> None:
    first = machine.processes["worker"]
    machine.start("worker")
    second, machine.processes["worker"] = machine.processes["worker"], first
    await asyncio.to_thread(second.join, 30)
    assert second.exitcode not in (None, 0)
    assert f"is being written by process {first.pid}" in (machine.folder / "worker.log").read_text()
    assert await machine.trades_since(time.time_ns())
