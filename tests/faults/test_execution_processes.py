"""Killing and stopping the trading process and the venue while orders flow: none lost, none twice, books equal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.execution import FAULT_TOKEN, PaperVenue, journalled
from workers.engine.accounting.books import replay
from workers.engine.events import OrderIntended, ReconciliationDone
from workers.engine.instruments import atoms

pytestmark = pytest.mark.fault
SECOND_NS = 1_000_000_000


class Child:
    """A process of ours; its newest line of standard output is its state."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.state: dict[str, Any] = {}
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        if self.process.stdout is None:
            return
        async for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.state = json.loads(line)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def end(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.send(number)
        await self.process.wait()
        await self.reading

    async def reaches(self, name: str, value: float, seconds: float = 40.0) -> None:
        end = time.monotonic() + seconds
        while float(self.state.get(name, -1)) < value:
            assert time.monotonic() < end, f"{name} stayed at {self.state.get(name)}, expected {value}"
            assert self.process.returncode is None, f"process ended with {self.process.returncode}"
            await asyncio.sleep(0.05)


class Machine:
    """One venue process and one trading process at a time, on the same folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.venue = PaperVenue(f"http://127.0.0.1:{self.port}")
        self.children: list[Child] = []

    async def start_venue(self) -> Child:
        environment = {
            **os.environ,
            "GEKKO_VENUE_PORT": str(self.port),
            "GEKKO_VENUE_MARKET": "synthetic",
            "GEKKO_VENUE_STATE": str(self.folder / "venue"),
            "GEKKO_VENUE_FAULT_TOKEN": FAULT_TOKEN,
            "GEKKO_VENUE_API_KEY": "paper-key",
            "GEKKO_VENUE_API_SECRET": "paper-secret",
            "GEKKO_VENUE_ORDER_LIMIT": "1000",
        }
        return await self._start("workers.live.paper_venue", environment=environment)

    async def start_trading(self) -> Child:
        module = "tests.support.execution_process"
        return await self._start(module, str(self.folder / "journal"), self.venue.url, environment=dict(os.environ))

    async def _start(self, module: str, *arguments: str, environment: dict[str, str]) -> Child:
        log = (self.folder / f"{module}.log").open("ab")
        with log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                *arguments,
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        self.children.append(Child(process))
        return self.children[-1]

    async def assert_agree(self) -> None:
        """The venue's own books, and those that the journal gives, are the same; no order exists twice."""
        truth = await self.venue.truth()
        events = journalled(self.folder / "journal")
        books = replay(events)
        theirs = {row["asset"]: atoms(row["free"], "") + atoms(row["locked"], "") for row in truth["balances"]}
        ours = books.balances()
        assert ours == {**dict.fromkeys(ours, 0), **theirs}
        assert books.trades == {(row["symbol"], int(row["id"])) for row in truth["trades"]}
        sent = [row["clientOrderId"] for row in truth["orders"]]
        assert len(sent) == len(set(sent))
        intended = [event.client_id for event in events if isinstance(event, OrderIntended)]
        assert len(intended) == len(set(intended))
        assert set(sent) <= set(intended)
        assert not [order for order in books.orders.values() if order.open]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    made = Machine(tmp_path)
    yield made
    for child in made.children:
        if child.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.send(signal.SIGCONT)
            await child.end(signal.SIGKILL)


async def finish(machine: Machine, trading: Child) -> None:
    """Let what is open end, stop cleanly, and compare."""
    await trading.reaches("reconciled", 1)
    trading.send(signal.SIGUSR1)
    await asyncio.sleep(3)
    await trading.end(signal.SIGTERM)
    await machine.assert_agree()


async def test_a_trading_process_killed_at_random_moments(machine: Machine) -> None:
    await machine.start_venue()
    rng = random.Random(11)
    for _ in range(3):
        trading = await machine.start_trading()
        await trading.reaches("fills", 1)
        await asyncio.sleep(rng.uniform(0.2, 2.0))
        await trading.end(signal.SIGKILL)
    trading = await machine.start_trading()
    await trading.reaches("fills", 3)
    await finish(machine, trading)


async def test_a_stopped_trading_process_wakes_late_and_trusts_nothing(machine: Machine) -> None:
    await machine.start_venue()
    trading = await machine.start_trading()
    await trading.reaches("fills", 2)
    trading.send(signal.SIGSTOP)
    stopped = time.time_ns()
    await asyncio.sleep(6)
    woken = time.time_ns()
    trading.send(signal.SIGCONT)
    await trading.reaches("gaps", 1)
    fills = trading.state["fills"]
    await trading.reaches("fills", fills + 2)
    await finish(machine, trading)
    events = journalled(machine.folder / "journal")
    compared = next(e.ts for e in events if isinstance(e, ReconciliationDone) and e.ok and e.ts > woken)
    assert not [e for e in events if isinstance(e, OrderIntended) and stopped + SECOND_NS < e.ts < compared]


async def test_a_venue_that_is_killed_and_comes_back(machine: Machine) -> None:
    venue = await machine.start_venue()
    trading = await machine.start_trading()
    await trading.reaches("fills", 2)
    await venue.end(signal.SIGKILL)
    await asyncio.sleep(2)
    assert not trading.state["reconciled"]
    await machine.start_venue()
    fills = trading.state["fills"]
    await trading.reaches("fills", fills + 2, seconds=60)
    await finish(machine, trading)


async def test_a_venue_that_is_stopped_and_goes_on(machine: Machine) -> None:
    venue = await machine.start_venue()
    trading = await machine.start_trading()
    await trading.reaches("fills", 2)
    venue.send(signal.SIGSTOP)
    await asyncio.sleep(8)
    venue.send(signal.SIGCONT)
    fills = trading.state["fills"]
    await trading.reaches("fills", fills + 2, seconds=60)
    await finish(machine, trading)


async def test_a_second_worker_on_the_same_journal_ends_at_once(machine: Machine) -> None:
    await machine.start_venue()
    trading = await machine.start_trading()
    await trading.reaches("fills", 1)
    second = await machine.start_trading()
    assert await second.process.wait() != 0
    log = (machine.folder / "tests.support.execution_process.log").read_text()
    assert f"is being written by process {trading.process.pid}" in log
    await finish(machine, trading)
