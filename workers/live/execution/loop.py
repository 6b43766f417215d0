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

from workers.adapters.binance.frames import Candle, SymbolDecoder
from workers.adapters.binance.limits import Backoff
from workers.adapters.binance.user_stream import UserStream
from workers.adapters.ccxt_venue import CcxtVenue
from workers.adapters.forecast_client import Reply
from workers.adapters.journal import Journal
from workers.adapters.venue import VenueError
from workers.engine.config import KernelConfig
from workers.engine.events import (
    BalanceAdopted,
    Bar,
    FeedStatus,
    JournalEvent,
    MarketEvent,
    Record,
)
from workers.engine.execution.volume import learn
from workers.engine.kernel import Kernel
from workers.engine.ports import Effects, RequestForecast
from workers.live.execution.caretaker import Caretaker
from workers.live.execution.config import LoopConfig
from workers.live.execution.feed import INTERVALS, Feed, interval_name, stream_url
from workers.live.execution.gateway import NO_CAUSE, Cause, Gateway
from workers.live.execution.metrics import LOOP_LAG, WAKES, StageClock
from workers.live.execution.reconcile import Reconciler

SECOND_NS: Final = 1_000_000_000
MS: Final = 1_000_000
HISTORY_BARS: Final = 1000
VENUE_RETRY_CAP_S: Final = 10.0
CURVE_INTERVAL: Final = "1m"
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
        self.venue = CcxtVenue(
            api_key=config.api_key,
            secret=config.api_secret,
            url=config.venue_url,
            name=config.venue,
            clock=time.time_ns,
            timeout_s=config.order_timeout_s,
        )
        kernel_config = KernelConfig(features=self.venue.rules.features)
        self.kernel = Kernel(kernel_config, clock=time.perf_counter_ns)
        self.gateway = Gateway(journal=journal, venue=self.venue, host=self, config=config, stages=self.stages)
        self.feed: Feed | None = None
        self.users: UserStream | None = None
        self.caretaker: Caretaker | None = None
        self.ready = asyncio.Event()
        self.last_tick = 0.0
        self.phase = "starting"
        self.forecast_asked = 0
        self.forecast_heard: Reply | None = None
        self._forecasts = forecasts
        self._replies: asyncio.Queue[Reply] = asyncio.Queue()
        self._sessions: dict[str, tuple[int, int]] = {}

    # -- life

    async def run(self, stop: asyncio.Event) -> None:
        """Trade until ``stop``; raises what broke the loop. The journal stays open for its owner to close."""
        await self.venue.open()
        try:
            self.phase = "waiting for the venue"
            if await self._unless_stopped(self._meet_venue(), stop):
                await self._trade(stop)
        finally:
            self.phase = "stopped"
            await self.venue.close()

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
                await self.venue.synchronise_clock()
                await self.venue.load_instruments(self.config.symbols)
                break
            except VenueError as error:
                log.warning("venue does not answer yet", venue=self.config.venue, error=str(error))
                await asyncio.sleep(backoff.next_delay())
        self._open_session()
        if self.kernel.books.run is not None:
            run = self.kernel.books.run
            await self._warm(run.instruments, run.interval_ns)

    def _open_session(self) -> None:
        recovered = self.journal.recovered
        self.kernel.recover(recovered)
        self.journal.release_recovered()
        instruments = self.venue.instruments
        self.apply(
            self.kernel.open_session(
                time.time_ns(),
                epoch=self.journal.epoch,
                venue=self.config.venue,
                worker=self.config.worker,
                instruments=list(instruments.values()),
            )
        )
        run = self.kernel.books.run
        self.feed = Feed(
            instruments,
            venue_url=self.config.venue_url,
            interval_ns=run.interval_ns if run else self._default_interval(),
            on_market=self._on_market,
            weight_per_minute=self.venue.weight_per_minute,
        )
        self.users = UserStream(
            keys=self.venue,
            ws_url=stream_url(self.config.venue_url),
            on_reports=self._on_reports,
            on_state=self._on_user_stream,
            clock=time.time_ns,
            backoff=Backoff(random.Random()),  # noqa: S311  # jitter, not a secret
        )
        self.caretaker = self._make_caretaker(_began(recovered))

    def _make_caretaker(self, since_ns: int) -> Caretaker:
        slack_ns = int(self.config.venue_clock_slack_s * SECOND_NS)
        reconciler = Reconciler(
            venue=self.venue,
            books=self.kernel.books,
            report=self.report,
            in_flight=self.gateway.in_flight,
            clock=time.time_ns,
            settle_after_ns=self.kernel.config.send_within_ns + slack_ns,
            since_ns=since_ns,
        )
        return Caretaker(
            books=self.kernel.books, gateway=self.gateway, reconciler=reconciler, host=self, config=self.config
        )

    def _default_interval(self) -> int:
        market = self.venue.market
        name = self.config.bar_interval or (market.bar_interval if market else "") or "1m"
        return INTERVALS[name]

    async def _trade(self, stop: asyncio.Event) -> None:
        """Run all parts; the first that fails takes the others down, since half a loop must not trade."""
        if self.feed is None or self.users is None or self.caretaker is None:
            raise RuntimeError("expected the venue to be met before trading")
        self.phase = "trading"
        self.ready.set()
        parts = {
            "journal": self.gateway.run(),
            "timer": self._tick(),
            "market": self.feed.run(),
            "forecasts": self._hear_forecasts(),
            "account": self.users.run(),
            "orders": self.caretaker.settle_orders(),
            "reconciliation": self.caretaker.keep_reconciled(),
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
            if self.feed is not None:
                self.feed.on_time(now)
                self._confirm_quotes(self.feed, now)

    def _confirm_quotes(self, feed: Feed, now: int) -> None:
        """A quote that the feed keeps confirming is fresh although it does not change."""
        for symbol, view in feed.views.items():
            reference = view.reference(now)
            if reference is not None and reference.source == "mid":
                self.kernel.confirm(symbol, now - reference.age_ns)

    # -- inputs of the kernel

    def apply(self, effects: Effects, cause: Cause = NO_CAUSE) -> None:
        """Carry out what the kernel answered."""
        if effects:
            self.gateway.handle(effects, cause)

    def report(self, event: JournalEvent) -> None:
        """Something happened outside; the kernel decides whether it is news."""
        self.apply(self.kernel.on_report(event, time.time_ns()))

    def _on_reports(self, events: Sequence[JournalEvent]) -> None:
        for event in events:
            self.report(event)

    def _on_market(self, event: MarketEvent, now: int, cause: Cause) -> None:
        if type(event) is FeedStatus and event.session_id:
            known = self._sessions.get(event.symbol)
            if known is None or known[0] != event.session_id:
                self._sessions[event.symbol] = (event.session_id, now if known else 0)
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
        if self.caretaker is not None:
            self.caretaker.cut()
            self.caretaker.want()
        if self.feed is not None:
            self.feed.restart(reason)
        if self.users is not None:
            self.users.restart()

    def journal_failed(self, reason: str) -> None:
        """Nothing can be recorded, so nothing may be ordered."""
        self.disconnected(reason)

    def journal_restored(self) -> None:
        """There is room again; compare with the venue before going on."""
        log.info("journal can be written again")
        if self.caretaker is not None:
            self.caretaker.want()

    def doubt(self, client_id: str) -> None:
        """The venue's answer contradicts what we hold of this order."""
        if self.caretaker is not None:
            self.caretaker.doubt(client_id)

    def newest_quote(self, symbol: str) -> Cause:
        """How the newest market event of ``symbol`` came to us."""
        return self.feed.quotes.get(symbol, NO_CAUSE) if self.feed is not None else NO_CAUSE

    def disconnected(self, reason: str) -> None:
        """No orders until the books were compared with the venue's again."""
        if self.caretaker is not None:
            self.caretaker.cut()
        self.apply(self.kernel.on_disconnect(time.time_ns(), reason=reason))

    def account_silent(self) -> None:
        """The account stream is open and tells nothing: make a new one."""
        log.warning("account stream is silent; connecting again")
        if self.users is not None:
            self.users.restart()

    def _on_user_stream(self, connected: bool, detail: str) -> None:
        if not connected:
            self.disconnected(f"account stream lost: {detail}")
        elif self.caretaker is not None:
            self.caretaker.want()

    @property
    def reconciled(self) -> bool:
        """True while the books are known to agree with the venue's."""
        return self.kernel.desk.risk.reconciled

    @property
    def connected(self) -> bool:
        """True while reports reach us and records reach the disk: only then does a comparison last."""
        return self.users is not None and self.users.connected and not self.gateway.broken

    # -- runs

    async def start_run(self, plan: Mapping[str, Any]) -> None:
        """Start the plan's strategy with warm histories; RunError, StrategyError or ValueError say what is wrong."""
        books = self.kernel.books
        if books.run is not None and books.run.run_id == str(plan["run_id"]):
            return
        symbols, interval_ns = tuple(plan["instruments"]), int(plan["interval_ns"])
        name = interval_name(interval_ns)
        bars = await self._history([symbol for symbol in symbols if symbol in self.venue.instruments], name)
        self.apply(self.kernel.start_run(time.time_ns(), plan))
        for bar in bars:
            self.kernel.warm_bar(bar)
        if self.feed is not None and self.feed.interval_ns != interval_ns:
            self.feed.restart(f"bars of {name} from now on", interval_ns)

    async def learn_volume(self, symbol: str) -> None:
        """Let parents in ``symbol`` know at what time of the day how much trades; ValueError without history."""
        if symbol not in self.venue.instruments:
            raise ValueError(f"the venue does not list {symbol}; known: {', '.join(sorted(self.venue.instruments))}")
        bars = await self._history([symbol], CURVE_INTERVAL)
        volumes = [(bar.start, bar.volume) for bar in bars]
        self.kernel.desk.parents.curves[symbol] = learn(volumes, bin_ns=CURVE_BIN_NS)

    async def _warm(self, symbols: Sequence[str], interval_ns: int) -> None:
        for bar in await self._history(symbols, interval_name(interval_ns)):
            self.kernel.warm_bar(bar)

    async def _history(self, symbols: Sequence[str], interval: str) -> list[Bar]:
        """Closed bars of the present session, oldest first per instrument; without them the strategy just waits."""
        bars: list[Bar] = []
        for symbol in symbols:
            try:
                rows = await self.venue.klines(symbol, interval, HISTORY_BARS)
            except VenueError as error:
                log.warning("no history", symbol=symbol, error=str(error))
                continue
            bars += self._closed_bars(symbol, rows)
        return bars

    def _closed_bars(self, symbol: str, rows: Sequence[Sequence[Any]]) -> list[Bar]:
        decoder, now = SymbolDecoder(self.venue.instruments[symbol]), time.time_ns()
        opened = self._session_opened(symbol)
        bars = (decoder.bar(_candle(row), now) for row in rows)
        return [bar for bar in bars if bar.ts_event <= now and bar.start >= opened]

    def _session_opened(self, symbol: str) -> int:
        """When the market session began, ns; bars from before belong to other prices."""
        known = self._sessions.get(symbol)
        if known is not None and known[1]:
            return known[1]
        market = self.venue.market
        return int(market.session.get("openedAt", 0)) * MS if market else 0


def _candle(row: Sequence[Any]) -> Candle:
    return Candle(
        start_ms=int(row[0]),
        end_ms=int(row[6]),
        open=row[1],
        high=row[2],
        low=row[3],
        close=row[4],
        volume=row[5],
        trades=int(row[8]),
    )


def _began(records: Sequence[Record]) -> int:
    """When these books began: at their first adopted balance, 0 before it."""
    return next((record.event.ts for record in records if isinstance(record.event, BalanceAdopted)), 0)
