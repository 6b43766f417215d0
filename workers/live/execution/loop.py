"""The trading loop: market in, kernel, journal, orders out, all on one event loop.

It owns the kernel; whoever wants something of it from outside (a task, the poll of the control plane, a forecast) hands
it over as a call on this loop. Nothing here waits for PostgreSQL, Redis or Celery.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from workers.adapters.binance.limits import Backoff
from workers.adapters.forecast_client import Reply
from workers.adapters.journal import Journal
from workers.adapters.venue import VenueError
from workers.engine.config import KernelConfig
from workers.engine.events import (
    BalanceAdopted,
    JournalEvent,
    MarketEvent,
    Record,
)
from workers.engine.execution.volume import learn
from workers.engine.kernel import Kernel
from workers.engine.ports import Effects, RequestForecast
from workers.live.execution.binance_dialect import INTERVALS
from workers.live.execution.config import LoopConfig
from workers.live.execution.dialects import dialect_of
from workers.live.execution.gateway import NO_CAUSE, Cause, Gateway
from workers.live.execution.metrics import LOOP_LAG, WAKES, StageClock
from workers.live.execution.venue_session import VenueSession

SECOND_NS: Final = 1_000_000_000
VENUE_RETRY_CAP_S: Final = 10.0
CURVE_INTERVAL_NS: Final = 60 * SECOND_NS
CURVE_BIN_NS: Final = 15 * 60 * SECOND_NS
"""Bars and bins that volume curves are learned from."""

log = structlog.get_logger(__name__)


class ForecastAsker(Protocol):
    """Where forecasts are asked for; must not block."""

    def ask(self, *, as_of: int, interval_ns: int, model_digest: str, closes: dict[str, list[float]]) -> str: ...


class TradingLoop:
    """One venue, one account, one journal. ``run`` once, on the loop that owns it."""

    def __init__(self, config: LoopConfig, journal: Journal, forecasts: ForecastAsker) -> None:
        self.config = config
        self.journal = journal
        self.stages = StageClock()
        self.home = VenueSession(config.home, dialect_of(config.home, config), self)
        kernel_config = KernelConfig(features=self.home.venue.rules.features)
        self.kernel = Kernel(kernel_config, clock=time.perf_counter_ns)
        self.gateway = Gateway(journal=journal, venue=self.home.venue, host=self, config=config, stages=self.stages)
        self.ready = asyncio.Event()
        self.last_tick = 0.0
        self.phase = "starting"
        self.forecast_asked = 0
        self.forecast_heard: Reply | None = None
        self._forecasts = forecasts
        self._replies: asyncio.Queue[Reply] = asyncio.Queue()

    # -- life

    async def run(self, stop: asyncio.Event) -> None:
        """Trade until ``stop``; raises what broke the loop. The journal stays open for its owner to close."""
        await self.home.venue.open()
        try:
            self.phase = "waiting for the venue"
            if await self._unless_stopped(self._meet_venue(), stop):
                await self._trade(stop)
        finally:
            self.phase = "stopped"
            await self.home.venue.close()

    async def _unless_stopped(self, work: Any, stop: asyncio.Event) -> bool:
        """Do ``work`` but give it up when ``stop`` comes first; True when it was done."""
        doing, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (doing, stopping):
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if not doing.cancelled():
            doing.result()
            return True
        return False

    async def _meet_venue(self) -> None:
        """Until the venue answers: its clock, instruments and fees. Then take the journal and build the parts."""
        backoff = Backoff(random.Random(), cap_s=VENUE_RETRY_CAP_S)  # noqa: S311  # jitter, not a secret
        while True:
            try:
                await self.home.meet()
                break
            except VenueError as error:
                log.warning("venue does not answer yet", venue=self.config.venue, error=str(error))
                await asyncio.sleep(backoff.next_delay())
        self._open_session()
        for run in self.kernel.books.runs.values():
            for bar in await self.home.history(run.instruments, run.interval_ns):
                self.kernel.warm_bar(bar)

    def _open_session(self) -> None:
        recovered = self.journal.recovered
        self.kernel.recover(recovered)
        self.journal.release_recovered()
        instruments = self.home.venue.instruments
        self.apply(
            self.kernel.open_session(
                time.time_ns(),
                epoch=self.journal.epoch,
                venue=self.config.venue,
                worker=self.config.worker,
                instruments=list(instruments.values()),
            )
        )
        lengths = [run.interval_ns for run in self.kernel.books.runs.values()]
        self.home.attach(interval_ns=lengths[0] if lengths else self._default_interval(), since_ns=_began(recovered))

    def _default_interval(self) -> int:
        market = self.home.market
        name = self.config.bar_interval or (market.bar_interval if market else "") or "1m"
        return INTERVALS[name]

    async def _trade(self, stop: asyncio.Event) -> None:
        """Run all parts; the first that fails takes the others down, since half a loop must not trade."""
        self.phase = "trading"
        self.ready.set()
        parts = {
            "journal": self.gateway.run(),
            "timer": self._tick(),
            "forecasts": self._hear_forecasts(),
            **self.home.parts(),
        }
        tasks = [asyncio.create_task(work, name=name) for name, work in parts.items()]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping in done:
                await self._wind_down()
        finally:
            self.phase = "stopping"
            for task in (*tasks, stopping):
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for task, outcome in zip(tasks, outcomes, strict=True):
            if isinstance(outcome, Exception):
                log.error("part of the trading loop failed", part=task.get_name(), error=repr(outcome))
                raise outcome

    async def _wind_down(self) -> None:
        """A clean end: no resting order stays unwatched, and what is on the wire is waited for."""
        self.phase = "stopping"
        now = time.time_ns()
        self.kernel.desk.risk.reconciled = False
        stopping = self.kernel.cancel_all(now, reason="the worker stops", by=self.config.worker, parents=False)
        self.apply(stopping)
        await asyncio.sleep(0)
        await self.gateway.drain()

    async def _tick(self) -> None:
        due = time.monotonic()
        while True:
            due += self.config.tick_s
            await asyncio.sleep(max(due - time.monotonic(), 0))
            self.last_tick = time.monotonic()
            LOOP_LAG.set(max(self.last_tick - due, 0.0))
            due = max(due, self.last_tick - self.config.tick_s)
            now = time.time_ns()
            self.apply(self.kernel.on_timer(now))
            self.home.on_time(now)

    # -- inputs of the kernel

    def apply(self, effects: Effects, cause: Cause = NO_CAUSE) -> None:
        """Carry out what the kernel answered."""
        if effects:
            self.gateway.handle(effects, cause)

    def report(self, event: JournalEvent) -> None:
        """Something happened outside; the kernel decides whether it is news."""
        self.apply(self.kernel.on_report(event, time.time_ns()))

    def on_market(self, event: MarketEvent, now: int, cause: Cause) -> None:
        """What a venue's feed believes."""
        self.apply(self.kernel.on_market(event, now), cause)

    def take_forecasts(self, reply: Reply) -> None:
        """An answer of the forecast worker; an error in it means holding, as silence does."""
        self._replies.put_nowait(reply)

    async def _hear_forecasts(self) -> None:
        """Until cancelled. A part of the loop, so that a strategy that fails on a forecast does not fail unseen."""
        while True:
            reply = self.forecast_heard = await self._replies.get()
            if reply.error:
                log.warning("no forecast", request=reply.request_id, error=reply.error)
            now = time.time_ns()
            for forecast in reply.forecasts:
                self.apply(self.kernel.on_forecast(forecast, now))

    # -- what gateway and caretaker tell

    def ask_forecast(self, request: RequestForecast) -> None:
        """Pass the kernel's request on."""
        self.forecast_asked += 1
        self._forecasts.ask(
            as_of=request.as_of,
            interval_ns=request.interval_ns,
            model_digest=request.model_digest,
            closes={symbol: list(closes) for symbol, closes in request.closes.items()},
        )

    def resync(self, reason: str) -> None:
        """The kernel found that time is missing: trust no connection, decide nothing old, compare everything anew."""
        WAKES.inc()
        log.warning("late wake", reason=reason)
        self.gateway.drop_waiting(reason)
        self.home.resync(reason)

    def journal_failed(self, reason: str) -> None:
        """Nothing can be recorded, so nothing may be ordered."""
        self.home.disconnected(reason)

    def journal_restored(self) -> None:
        """There is room again; compare with the venue before going on."""
        log.info("journal can be written again")
        if self.home.caretaker is not None:
            self.home.caretaker.want()

    def doubt(self, client_id: str) -> None:
        """The venue's answer contradicts what we hold of this order."""
        if self.home.caretaker is not None:
            self.home.caretaker.doubt(client_id)

    def newest_quote(self, symbol: str) -> Cause:
        """How the newest market event of ``symbol`` came to us."""
        return self.home.newest_quote(symbol)

    def venue_lost(self, name: str, reason: str) -> None:  # noqa: ARG002
        """Reports of this venue do not reach us, so nothing may be ordered there."""
        self.apply(self.kernel.on_disconnect(time.time_ns(), reason=reason))

    @property
    def reconciled(self) -> bool:
        """True while the books are known to agree with the venue's."""
        return self.home.reconciled

    @property
    def connected(self) -> bool:
        """True while reports reach us and records reach the disk."""
        return self.home.connected

    # -- runs

    async def start_run(self, plan: Mapping[str, Any]) -> None:
        """Start the plan's strategy with warm histories; RunError, StrategyError or ValueError say what is wrong."""
        if str(plan["run_id"]) in self.kernel.books.runs:
            return
        symbols, interval_ns = tuple(plan["instruments"]), int(plan["interval_ns"])
        listed = self.home.venue.instruments
        bars = await self.home.history([symbol for symbol in symbols if symbol in listed], interval_ns)
        self.apply(self.kernel.start_run(time.time_ns(), plan))
        for bar in bars:
            self.kernel.warm_bar(bar)
        self.home.build_bars(interval_ns)

    async def learn_volume(self, symbol: str) -> None:
        """Let parents in ``symbol`` know at what time of the day how much trades; ValueError without history."""
        listed = self.home.venue.instruments
        if symbol not in listed:
            raise ValueError(f"the venue does not list {symbol}; known: {', '.join(sorted(listed))}")
        volumes = [(bar.start, bar.volume) for bar in await self.home.history([symbol], CURVE_INTERVAL_NS)]
        self.kernel.desk.parents.curves[symbol] = learn(volumes, bin_ns=CURVE_BIN_NS)


def _began(records: Sequence[Record]) -> int:
    """When these books began: at their first adopted balance, 0 before it."""
    return next((record.event.ts for record in records if isinstance(record.event, BalanceAdopted)), 0)
