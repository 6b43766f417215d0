"""A worker and its venues as processes, the wires between them, and what all of them wrote down about it."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import random
import signal
import socket
import time
from decimal import Decimal
from itertools import islice
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.support import fault_processes
from tests.support.execution import FAULT_TOKEN, published
from tests.support.kernels import LIMITS
from tests.support.truth import SEND_WITHIN_MS, JournalView, View, astray, invents, lacks, of_venue
from tests.support.venue_logs import Place, VenueLogs
from workers.adapters.journal import Position, Tail
from workers.engine.events import ReconciliationDone
from workers.engine.market.venues import PAPER_DARK
from workers.live.execution.control import Desired
from workers.live.paper_venue.config import MarketKind, VenueConfig
from workers.live.paper_venue.profiles import parse

LOOK_S: Final = 0.02
HOME: Final = "paper"
COMPARE_S: Final = 0.1
READ_AT_ONCE: Final = 5_000
NEWEST: Final = 50
AGREE_S: Final = 30.0
TRADE_S: Final = 90.0
START_QUOTE: Final = 10_000_000
UNLIMITED: Final = 10**9
MS: Final = 1_000_000
CHEAP: Final = Decimal("0.001")
DEAR: Final = Decimal("0.004")
"""Taker's fee of a home venue that it pays to look elsewhere for, in the dark too."""
ROUTED_OVER: Final = (
    "beta:taker_fee=0.00399:start_quote=10000000,"
    "dark:taker_fee=0.0002:start_quote=10000000:hidden_pct=70:hidden_most=2000"
)
"""Venues on terms close to the home venue's, or worth the wait in the dark, so that legs go to all of them."""
LOOSE: Final[dict[str, Any]] = {
    **LIMITS,
    "max_order_qty": {},
    "max_position": {},
    "max_order_notional": "1000000",
    "max_gross_notional": "9000000",
    "max_open_orders": 100,
    "max_daily_loss": "9000000",
    "max_drawdown": "9000000",
    "collar_bps": 500,
}


class Machine:
    """Everything in one folder. ``ended`` lists processes that ended without being told to.

    ``venues``, as in ``GEKKO_PAPER_VENUES``, are played beside the home venue, and parents are routed over all of them.
    """

    def __init__(self, folder: Path, market: MarketKind, data: Path, *, venues: str = "") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.folder = folder
        self.venue_config = VenueConfig(
            state_dir=folder / "venue",
            data_dir=data,
            market=market,
            port=port,
            fault_token=FAULT_TOKEN,
            weight_limit=UNLIMITED,
            order_limit=UNLIMITED,
            start_quote=Decimal(START_QUOTE),
            venues=parse(venues),
            taker_fee=DEAR if venues else CHEAP,
        )
        played = [("", False), *((profile.name, profile.dark) for profile in self.venue_config.venues)]
        self.places = tuple(Place(name, HOME, port=port, folder=folder / "venue", dark=dark) for name, dark in played)
        self.struck = self.home
        self.processes: dict[str, BaseProcess] = {}
        self.ended: list[str] = []
        self.journal = JournalView()
        self.log = VenueLogs()
        self.compared = 0
        self._tail = Tail(folder / "journal", Position())
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([fault_processes.__name__])
        self._expected: set[int] = set()
        self._late: set[str] = set()
        self._checked = 0
        self._keeper: asyncio.Task[None] | None = None
        self._wanted = folder / "wanted.json"

    @property
    def home(self) -> Place:
        return self.places[0]

    def strike(self, chance: random.Random) -> Place:
        """The venue that the next fault is at."""
        self.struck = chance.choice(self.places)
        return self.struck

    # -- processes

    async def open(self) -> None:
        """Start both, and keep them running."""
        self._urls = {place.name: await place.wire.open() + place.path for place in self.places}
        self.want()
        self.start("venue")
        self.start("worker")
        self._keeper = asyncio.create_task(self._keep())

    def start(self, name: str) -> None:
        """Fork a process; imports are done already."""
        log = self.folder / f"{name}.log"
        if name == "venue":
            target: Any = fault_processes.venue
            arguments: tuple[Any, ...] = (self.venue_config, log)
        else:
            target = fault_processes.worker
            others = {
                place.name: (self._urls[place.name], PAPER_DARK.code if place.dark else "") for place in self.places[1:]
            }
            config = fault_processes.worker_config(self.folder / "journal", self._urls[""], others)
            arguments = (config, self._wanted, log)
        self.processes[name] = process = self._context.Process(target=target, args=arguments, daemon=True)
        process.start()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal; a process that is to end by it is no defect."""
        pid = self.processes[name].pid
        if pid is None:
            raise RuntimeError(f"{name} was never started")
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._expected.add(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    async def over(self, name: str) -> None:
        """Wait until the process is gone, as whoever starts the next one must."""
        await asyncio.to_thread(self.processes[name].join, 30)

    def expect_end(self, name: str) -> None:
        """The process may end by itself from here on."""
        self._expected.add(self.processes[name].pid or 0)

    async def _keep(self) -> None:
        """The supervisor: what is gone is started again."""
        while True:
            await asyncio.sleep(LOOK_S)
            for name, process in list(self.processes.items()):
                if process.exitcode is not None:
                    if process.pid not in self._expected:
                        self.ended.append(f"{name} ended by itself with {process.exitcode}")
                    self.start(name)

    async def close(self) -> None:
        """End everything."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        for name, process in self.processes.items():
            if process.is_alive():
                self.signal(name, signal.SIGCONT)
                self.signal(name, signal.SIGKILL)
            await self.over(name)
        for place in self.places:
            await place.wire.close()

    def want(self, *, trading: bool = True, parents: tuple[dict[str, Any], ...] = ()) -> None:
        """What the control plane's tables say: a run, or nothing at all and no order."""
        control = {"state": "ACTIVE", "version": 1, "reason": "faults", "by": "bench"}
        plan = {
            "run_id": "run-1",
            "release": "release-1",
            "strategy": fault_processes.STRATEGY,
            "params": {"parents": 5, "every": 2, "route": len(self.places) > 1},
            "model_digest": "",
            "limits_version": 1,
            "instruments": list(SYMBOLS[self.venue_config.market]),
            "interval_ns": 1_000 * MS,
        }
        wanted = Desired(control=control, limits=published(LOOSE), runs=[plan] if trading else [], parents=parents)
        new = self._wanted.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(wanted))
        new.replace(self._wanted)

    # -- what they wrote

    def read(self) -> None:
        """Take what all logs have grown by: the venues' first, so that ours is the newer one."""
        instruments = {symbol: line.instrument for symbol, line in self.journal.books.lines.items()}
        for place in self.places:
            if any(map(place.names.owns, instruments)) and place.log.exists():
                self.log.read(place, instruments)
        while records := self._tail.read(READ_AT_ONCE):
            events = [record.event for record in records]
            self.compared += sum(isinstance(event, ReconciliationDone) and event.ok for event in events)
            self.journal.take(events)

    def problems(self) -> list[str]:
        """In what the two logs differ now; what is only on its way counts too."""
        self.read()
        ours, venue = self.journal.view, self.log.view
        found = lacks(ours, venue) + invents(ours, venue) + astray(self.journal, venue)
        if ours.trades.keys() == venue.trades.keys():
            found += [
                f"{asset} is {ours.balances.get(asset, Decimal(0))} here, {held} at the venue"
                for asset, held in venue.balances.items()
                if ours.balances.get(asset, Decimal(0)) != held
            ]
        strange = [f"{one.kind}: {one.client_id} {one.detail}" for one in self.journal.books.anomalies]
        return found + strange + self._overdue()

    def _overdue(self) -> list[str]:
        """Orders that the venue had later than a decision may be acted upon."""
        for client_id in list(self.log.taken)[self._checked :]:
            decided = self.journal.decided.get(client_id)
            late_ms = 0 if decided is None else (self.log.taken[client_id] - decided) // MS
            if late_ms > SEND_WITHIN_MS:
                self._late.add(f"{client_id} came to the venue {late_ms} ms after it was decided")
        self._checked = len(self.log.taken)
        return sorted(self._late)

    async def agreement(self, seconds: float = AGREE_S) -> list[str]:
        """Wait until nothing is left of the differences that there are now; what is left when that takes too long.

        While trading goes on something is always on its way, so that it need not be a moment without any difference.
        """
        left, end = set(self.problems()), time.monotonic() + seconds
        while left and time.monotonic() < end:
            await asyncio.sleep(COMPARE_S)
            left &= set(self.problems())
        return sorted(left)

    async def truth(self) -> View:
        """What the venues themselves answer."""
        whole = View("venue")
        for place in self.places:
            view = of_venue(await place.port.truth(), place.names.key)
            whole.twice += [*view.twice, *(whole.orders.keys() & view.orders.keys())]
            whole.orders |= view.orders
            whole.trades |= view.trades
            whole.balances |= view.balances
        return whole

    def decided_at(self, place: Place, since: int) -> int:
        """How many orders were decided at ``place``, without the first ``since`` that were decided anywhere."""
        orders = self.journal.books.orders
        decided = islice(self.journal.decided, since, None)
        return sum(place.names.owns(orders[client_id].symbol) for client_id in decided)

    async def trades_since(self, since_ns: int, seconds: float = TRADE_S) -> bool:
        """Wait until the struck venue has an order that was decided after ``since_ns``; any, where that one is dark.

        What a dark venue gets is up to what it had before.
        """
        end = time.monotonic() + seconds
        place = self.struck
        while time.monotonic() < end:
            self.read()
            newest = [name for name in self.log.taken if place.dark or self.log.at[name] == place.name][-NEWEST:]
            if any(self.journal.decided.get(client_id, 0) > since_ns for client_id in newest):
                return True
            await asyncio.sleep(LOOK_S)
        return False


SYMBOLS: Final[dict[MarketKind, tuple[str, ...]]] = {
    MarketKind.BARS: ("BTCUSD",),
    MarketKind.SYNTHETIC: ("BTCUSDT", "ETHUSDT"),
}
"""Instruments by market."""
