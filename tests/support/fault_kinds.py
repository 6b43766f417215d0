"""What can go wrong between a worker and its venue, one function each. A fault returns when it is over."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.support.fault_machine import Machine
from tests.support.venue_logs import Place
from workers.adapters import snapshots

Fault = Callable[[Machine, random.Random], Awaitable[None]]
SOON_S: Final = 0.003
IN_FLIGHT_S: Final = 5.0
FAULTS: Final[dict[str, Fault]] = {}
"""Faults by the name that the table shows."""


def _fault(name: str) -> Callable[[Fault], Fault]:
    def add(fault: Fault) -> Fault:
        FAULTS[name] = fault
        return fault

    return add


async def _kill(machine: Machine, name: str, number: signal.Signals = signal.SIGKILL) -> None:
    machine.signal(name, number)
    await machine.over(name)


async def _stop(machine: Machine, name: str, seconds: float) -> None:
    machine.signal(name, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        machine.signal(name, signal.SIGCONT)


async def _misbehave(place: Place, **what: Any) -> None:
    """Ask the venue to err; one that is just starting again is asked until it listens."""
    while True:
        try:
            await place.port.fault(**what)
        except aiohttp.ClientError:
            await asyncio.sleep(SOON_S)
        else:
            return


async def _next_order(machine: Machine, place: Place | None = None) -> None:
    """Until another order is decided, at ``place`` where one is given: it is on its way then."""
    machine.read()
    known, end = len(machine.journal.decided), asyncio.get_running_loop().time() + IN_FLIGHT_S
    while asyncio.get_running_loop().time() < end:
        if machine.decided_at(place, known) if place else len(machine.journal.decided) > known:
            return
        await asyncio.sleep(SOON_S)
        machine.read()


# -- the worker


@_fault("worker killed")
async def _worker_killed(machine: Machine, chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0.0, 0.5))
    await _kill(machine, "worker")


@_fault("worker killed, order on its way")
async def _worker_killed_in_flight(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    await _misbehave(place, order_ack_delay_ms=chance.choice((0, 5, 400)))
    await _next_order(machine, place)
    await _kill(machine, "worker")
    await _misbehave(place, order_ack_delay_ms=0)


@_fault("worker killed twice")
async def _worker_killed_twice(machine: Machine, chance: random.Random) -> None:
    """The second time somewhere in the recovery from the first."""
    await _kill(machine, "worker")
    await asyncio.sleep(chance.uniform(0.1, 1.5))
    await _kill(machine, "worker")


@_fault("worker stopped and woken")
async def _worker_stopped(machine: Machine, chance: random.Random) -> None:
    await _next_order(machine)
    await _stop(machine, "worker", chance.choice((0.2, 1.0, 2.5, 4.0)))


@_fault("worker restarted")
async def _worker_restarted(machine: Machine, chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0.0, 0.5))
    await _kill(machine, "worker", signal.SIGTERM)


# -- the venue


@_fault("venue killed")
async def _venue_killed(machine: Machine, chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0.0, 0.5))
    await _kill(machine, "venue")


@_fault("venue killed, order on its way")
async def _venue_killed_in_flight(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    await _misbehave(place, order_ack_delay_ms=chance.choice((5, 200)))
    await _next_order(machine, place)
    await _kill(machine, "venue")


@_fault("venue stopped and woken")
async def _venue_stopped(machine: Machine, chance: random.Random) -> None:
    await _stop(machine, "venue", chance.choice((0.2, 1.0, 2.5, 4.0)))


@_fault("venue refuses everything")
async def _outage(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    pause = chance.choice((300, 1500, 3000))
    await _next_order(machine, place)
    await _misbehave(place, outage_ms=pause)
    await asyncio.sleep(pause / 1000)


@_fault("both killed")
async def _both_killed(machine: Machine, chance: random.Random) -> None:
    await _next_order(machine)
    first = chance.choice(("worker", "venue"))
    machine.signal(first, signal.SIGKILL)
    await _kill(machine, "venue" if first == "worker" else "worker")


# -- the wire


@_fault("connections cut")
async def _cut(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    await _next_order(machine, place)
    await asyncio.sleep(chance.uniform(0.0, 0.01))
    place.wire.cut()


@_fault("venue out of reach")
async def _out_of_reach(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    place.wire.refusing = True
    place.wire.cut()
    await asyncio.sleep(chance.uniform(0.3, 2.5))
    place.wire.refusing = False


@_fault("wire held up")
async def _held_up(machine: Machine, chance: random.Random) -> None:
    """Nothing passes for a while; then all of it comes at once, orders that are too old among it."""
    place = machine.strike(chance)
    await _next_order(machine, place)
    place.wire.flowing.clear()
    await asyncio.sleep(chance.choice((0.3, 1.5, 3.0)))
    place.wire.flowing.set()


@_fault("wire slow")
async def _slow(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    place.wire.delay_s = chance.choice((0.05, 0.3, 1.2))
    await asyncio.sleep(chance.uniform(0.5, 2.0))
    place.wire.delay_s = 0.0


@_fault("some connections slow")
async def _uneven(machine: Machine, chance: random.Random) -> None:
    """An order is under way for longer than anybody waits for its answer, and questions about it overtake it."""
    place = machine.strike(chance)
    place.wire.uneven_s = chance.choice((1.2, 1.5, 1.8))
    await asyncio.sleep(chance.uniform(1.0, 2.5))
    place.wire.uneven_s = 0.0


@_fault("answers lost")
async def _answers_lost(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    place.wire.deaf = True
    await asyncio.sleep(chance.uniform(0.3, 2.0))
    place.wire.deaf = False
    place.wire.cut()


# -- what the venue says


@_fault("acknowledgement lost")
async def _ack_lost(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    await _misbehave(place, lose_ack=chance.randint(1, 3))
    await _next_order(machine, place)


@_fault("acknowledgement late")
async def _ack_late(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    await _misbehave(place, order_ack_delay_ms=chance.choice((100, 800, 1500)))
    await asyncio.sleep(chance.uniform(0.3, 1.5))
    await _misbehave(place, order_ack_delay_ms=0)


@_fault("5xx after accepting")
async def _failure(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    await _misbehave(place, order_500_after_accept=chance.randint(1, 3))
    await _next_order(machine, place)


@_fault("orders rejected")
async def _rejected(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    await _misbehave(place, reject_orders=chance.randint(1, 3))
    await _next_order(machine, place)


@_fault("reports twice")
async def _twice(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    await _misbehave(place, duplicate_reports=chance.randint(2, 10))
    await _next_order(machine, place)


@_fault("reports out of order")
async def _out_of_order(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    await _misbehave(place, reorder_reports=chance.randint(2, 10))
    await _next_order(machine, place)


@_fault("streams dropped")
async def _streams_dropped(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    await _next_order(machine, place)
    await asyncio.sleep(chance.uniform(0.0, 0.01))
    await _misbehave(place, drop_websockets=True)


@_fault("market silent")
async def _silent(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    pause = chance.choice((300, 1500, 3000))
    await _misbehave(place, pause_feed_ms=pause)
    await asyncio.sleep(pause / 1000)


@_fault("price spike")
async def _spike(machine: Machine, chance: random.Random) -> None:
    place = machine.strike(chance)
    await _misbehave(place, spike_bps=chance.choice((-1500, -300, 300, 1500)), spike_frames=chance.randint(1, 6))
    await asyncio.sleep(0.3)


# -- the disk


@_fault("snapshot damaged")
async def _snapshot_damaged(machine: Machine, chance: random.Random) -> None:
    """The next worker finds the newest snapshot cut short, or with a byte changed."""
    await _next_order(machine)
    for path in snapshots.paths(machine.folder / "journal")[:1]:
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1
        path.write_bytes(data[: chance.choice((len(data), len(data) // 2))])
    await _kill(machine, "worker")


async def _full(machine: Machine, name: str, path: Path, room: int, seconds: float) -> None:
    """No file of the process may grow further than ``path`` and ``room`` bytes, for a while."""
    size = (await asyncio.to_thread(path.stat)).st_size
    pid = machine.processes[name].pid or 0
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + room, unlimited[1]))
    await asyncio.sleep(seconds)
    if machine.processes[name].pid == pid and machine.processes[name].is_alive():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


if sys.platform == "linux":

    @_fault("journal's disk full")
    async def _journal_full(machine: Machine, chance: random.Random) -> None:
        newest = max((machine.folder / "journal").glob("*.jsonl"))
        await _full(machine, "worker", newest, chance.randint(0, 3000), chance.uniform(0.3, 1.5))

    @_fault("venue's disk full")
    async def _venue_full(machine: Machine, chance: random.Random) -> None:
        """The venue ends then, as it says it does; what it had written half is cut off by the next one."""
        machine.expect_end("venue")
        path = machine.folder / "venue" / "venue.jsonl"
        await _full(machine, "venue", path, chance.randint(0, 1500), chance.uniform(0.3, 1.0))
