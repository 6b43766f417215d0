"""The trading loop: market in, kernel, journal, orders out, all on one event loop.

It owns the kernel; whoever wants something of it from outside (a task, the poll of the control plane, a forecast) hands
it over as a call on this loop. Nothing here waits for PostgreSQL, Redis or Celery.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from workers.adapters.forecast_client import Reply
from workers.adapters.journal import Journal
from workers.engine.config import KernelConfig
from workers.engine.events import (
    Bar,
    FeedStatus,
    JournalEvent,
    MarketEvent,
    OrderFilled,
    ReconciliationDone,
)
from workers.engine.execution.volume import learn
from workers.engine.instruments import Instrument
from workers.engine.kernel import Kernel
from workers.engine.ports import Effects, RequestForecast
from workers.engine.vocabulary import FeedState
from workers.live.execution.binance_dialect import INTERVALS
from workers.live.execution.config import LoopConfig
from workers.live.execution.dialects import dialect_of
from workers.live.execution.gateway import NO_CAUSE, Cause, Gateway
from workers.live.execution.metrics import LOOP_LAG, WAKES, StageClock
from workers.live.execution.parts import together
from workers.live.execution.reconcile import Leave
from workers.live.execution.venue_session import VenueSession
from workers.live.execution.venues import Venues

SECOND_NS: Final = 1_000_000_000
CURVE_INTERVAL_NS: Final = 60 * SECOND_NS
CURVE_BIN_NS: Final = 15 * 60 * SECOND_NS
"""Bars and bins that volume curves are learned from."""

log = structlog.get_logger(__name__)


class ForecastAsker(Protocol):
    """Where forecasts are asked for; must not block."""

    def ask(self, *, as_of: int, interval_ns: int, model_digest: str, closes: dict[str, list[float]]) -> str: ...


class TradingLoop:
    """One account at one venue or several, one journal. ``run`` once, on the loop that owns it."""

    def __init__(self, config: LoopConfig, journal: Journal, forecasts: ForecastAsker) -> None:
        self.config = config
        self.journal = journal
        self.stages = StageClock()
        accesses = (config.home, *config.others)
        self.venues = Venues([VenueSession(access, dialect_of(access, config), self) for access in accesses])
        kernel_config = KernelConfig(
            features=self.home.orders.rules.features,
            features_at={one.name: one.orders.rules.features for one in self.venues.others},
        )
        self.kernel = Kernel(kernel_config, clock=time.perf_counter_ns)
        self.kernel.desk.depth = self.venues.depth
        self.gateway = Gateway(journal=journal, venue=self.venues, host=self, config=config, stages=self.stages)
        self.ready = asyncio.Event()
        self.last_tick = 0.0
        self.phase = "starting"
        self.adoptable: Mapping[str, Leave] = {}
        """Differences of balances that people decided to adopt, by asset."""
        self.forecast_asked = 0
        self.forecast_heard: Reply | None = None
        self._forecasts = forecasts
        self._replies: asyncio.Queue[Reply] = asyncio.Queue()

    @property
    def home(self) -> VenueSession:
        """The venue that the account is named after."""
        return self.venues.home

    # -- life

    async def run(self, stop: asyncio.Event) -> None:
        """Trade until ``stop``; raises what broke the loop. The journal stays open for its owner to close."""
        for session in self.venues:
            await session.open()
        try:
            self.phase = "waiting for the venue"
            if await self._unless_stopped(self._begin(), stop):
                await self._trade(stop)
        finally:
            self.phase = "stopped"
            for session in self.venues:
                await session.close()

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

    async def _begin(self) -> None:
        """Until the home venue answers. Then take the journal and build the parts; other venues may join later."""
        await self.home.meet_in_the_end()
        await asyncio.gather(*(self._try(session) for session in self.venues.others))
        self._open_session()
        await self._warm_runs()

    async def _try(self, session: VenueSession) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.order_timeout_s):
                await session.meet()

    def _open_session(self) -> None:
        begun = self.journal.start
        self.kernel.recover(self.journal.recovered, begun.state if begun else None)
        self.journal.release_recovered()
        self.apply(
            self.kernel.open_session(
                time.time_ns(),
                epoch=self.journal.epoch,
                venue=self.config.venue,
                worker=self.config.worker,
                instruments=[one for session in self.venues for one in self._known(session)],
            )
        )
        for session in self.venues:
            if session.met:
                self._attach(session)
            else:
                self._tell_away(session)

    def _known(self, session: VenueSession) -> list[Instrument]:
        """What the venue lists; while it does not answer, what the journal knows of it."""
        if not session.met:
            lines = self.kernel.books.lines
            return [lines[symbol].instrument for symbol in session.books.known()]
        session.keep(self.home)
        return list(session.instruments.values())

    def _attach(self, session: VenueSession) -> None:
        lengths = [run.interval_ns for run in self.kernel.books.runs.values()]
        session.attach(
            interval_ns=lengths[0] if lengths else self._default_interval(),
            since_ns=self.kernel.began.get(session.names.suffix, 0),
        )

    def _tell_away(self, session: VenueSession) -> None:
        """A venue that was not met is shown as one that was lost."""
        now, detail = time.time_ns(), f"{session.name} does not answer: {session.problem or 'no answer in time'}"
        for symbol in session.books.known():
            status = FeedStatus(symbol=symbol, ts_event=now, ts_recv=now, state=FeedState.STALE, detail=detail)
            self.apply(self.kernel.on_market(status, now))
        self.report(
            ReconciliationDone(
                ts=now,
                ok=False,
                orders_checked=0,
                fills_adopted=0,
                breaks=(detail,),
                compared=False,
                venue=session.names.suffix,
            )
        )

    async def join(self, session: VenueSession) -> None:
        """A venue answered after the start: from now on it is traded at like the others."""
        session.keep(self.home)
        instruments = list(session.instruments.values())
        self.apply(self.kernel.join_venue(time.time_ns(), worker=self.config.worker, instruments=instruments))
        self._attach(session)
        log.info("venue joined", venue=session.name, instruments=len(instruments))
        await self._warm_runs()

    async def _warm_runs(self) -> None:
        for run in list(self.kernel.books.runs.values()):
            for bar in await self._history(run.instruments, run.interval_ns):
                self.kernel.warm_bar(bar)

    async def _history(self, symbols: Sequence[str], interval_ns: int) -> list[Bar]:
        found = [await session.history(listed, interval_ns) for session, listed in self.venues.of_symbols(symbols)]
        return [bar for bars in found for bar in bars]

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
            "stop": self._until(stop),
            **{f"venue {session.name}": session.run() for session in self.venues},
        }
        try:
            await together(parts, of=self.config.worker)
        finally:
            self.phase = "stopping"

    async def _until(self, stop: asyncio.Event) -> None:
        await stop.wait()
        await self._wind_down()

    async def _wind_down(self) -> None:
        """A clean end: nothing rests unwatched but stops that protect, and what is on the wire is waited for."""
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
            for session in self.venues:
                session.on_time(now)

    # -- inputs of the kernel

    def apply(self, effects: Effects, cause: Cause = NO_CAUSE) -> None:
        """Carry out what the kernel answered."""
        if effects:
            self.gateway.handle(effects, cause)

    def report(self, event: JournalEvent) -> None:
        """Something happened outside; the kernel decides whether it is news."""
        self.apply(self.kernel.on_report(event, time.time_ns()))
        if type(event) is OrderFilled and (session := self.venues.of(event.symbol)) is not None:
            session.note_fill(event)

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
        for session in self.venues:
            session.resync(reason)

    def journal_failed(self, reason: str) -> None:
        """Nothing can be recorded, so nothing may be ordered."""
        for session in self.venues:
            session.disconnected(reason)

    def journal_restored(self) -> None:
        """There is room again; compare with the venues before going on."""
        log.info("journal can be written again")
        for session in self.venues:
            session.want()

    def doubt(self, client_id: str) -> None:
        """The venue's answer contradicts what we hold of this order."""
        order = self.kernel.books.orders.get(client_id)
        session = self.venues.of(order.symbol) if order is not None else None
        if session is not None and session.caretaker is not None:
            session.caretaker.doubt(client_id)

    def newest_quote(self, symbol: str) -> Cause:
        """How the newest market event of ``symbol`` came to us."""
        return self.venues.newest_quote(symbol)

    def place_of(self, symbol: str) -> str:
        """Name of the venue of ``symbol``."""
        return self.venues.place_of(symbol)

    def venue_lost(self, name: str, reason: str) -> None:
        """Reports of this venue do not reach us, so nothing may be ordered there."""
        self.apply(self.kernel.on_disconnect(time.time_ns(), reason=reason, venue=name))

    @property
    def reconciled(self) -> bool:
        """True while the books are known to agree with those of every venue."""
        return all(session.reconciled for session in self.venues)

    @property
    def connected(self) -> bool:
        """True while the reports of every venue reach us and records reach the disk."""
        return all(session.connected for session in self.venues)

    # -- runs

    async def start_run(self, plan: Mapping[str, Any]) -> None:
        """Start the plan's strategy with warm histories; RunError, StrategyError or ValueError say what is wrong."""
        if str(plan["run_id"]) in self.kernel.books.runs:
            return
        symbols, interval_ns = tuple(plan["instruments"]), int(plan["interval_ns"])
        bars = await self._history(symbols, interval_ns)
        self.apply(self.kernel.start_run(time.time_ns(), plan))
        for bar in bars:
            self.kernel.warm_bar(bar)
        for session in self.venues:
            session.build_bars(interval_ns)

    async def learn_volume(self, symbol: str) -> None:
        """Let parents in ``symbol`` know at what time of the day how much trades; ValueError without history."""
        bars = await self._history([symbol], CURVE_INTERVAL_NS)
        if not any(symbol in session.instruments for session in self.venues):
            known = sorted(key for session in self.venues for key in session.instruments)
            raise ValueError(f"no venue lists {symbol}; known: {', '.join(known)}")
        volumes = [(bar.start, bar.volume) for bar in bars]
        self.kernel.desk.parents.curves[symbol] = learn(volumes, bin_ns=CURVE_BIN_NS)
