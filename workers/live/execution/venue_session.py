"""One venue of the loop: its adapter, market feed and account stream, and what keeps the books there true."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from workers.adapters.binance.exchange_info import MarketInfo
from workers.adapters.binance.limits import Backoff
from workers.adapters.venue import VenueError
from workers.engine.events import Bar, FeedStatus, JournalEvent, MarketEvent, OrderFilled
from workers.engine.instruments import Instrument
from workers.engine.kernel import Kernel
from workers.engine.market.venues import Feature
from workers.live.execution.caretaker import Caretaker
from workers.live.execution.config import LoopConfig, VenueAccess
from workers.live.execution.dialect import AccountHooks, AccountStream, Dialect
from workers.live.execution.feed import Feed
from workers.live.execution.gateway import NO_CAUSE, Cause, Gateway
from workers.live.execution.names import KeyedVenue, Names
from workers.live.execution.parts import together
from workers.live.execution.reconcile import Leave, Reconciler
from workers.live.execution.venue_books import VenueBooks

SECOND_NS: Final = 1_000_000_000
MS: Final = 1_000_000
HISTORY_BARS: Final = 1000
CLOCK_EVERY_S: Final = 600.0
RETRY_CAP_S: Final = 10.0

log = structlog.get_logger(__name__)


class Host(Protocol):
    """What a session tells and asks the loop that it belongs to."""

    config: LoopConfig
    kernel: Kernel
    gateway: Gateway
    adoptable: Mapping[str, Leave]

    def report(self, event: JournalEvent) -> None: ...
    def on_market(self, event: MarketEvent, now: int, cause: Cause) -> None: ...
    def venue_lost(self, name: str, reason: str) -> None: ...
    async def join(self, session: VenueSession) -> None: ...


class VenueSession:
    """Built in steps: made, ``meet`` until the venue answers, ``attach`` once the kernel knows its instruments.

    Towards the loop everything is named by the engine's keys, towards the dialect by the venue's own names.
    """

    def __init__(self, access: VenueAccess, dialect: Dialect, host: Host) -> None:
        self.access = access
        self.dialect = dialect
        self.names = Names(access.name, host.config.venue)
        self.orders = KeyedVenue(dialect.venue, self.names) if self.names.suffix else dialect.venue
        """Order entry under the engine's keys."""
        self.met = False
        self.problem = ""
        """Why the venue could not be met; empty before and after."""
        self.feed: Feed | None = None
        self.users: AccountStream | None = None
        self.caretaker: Caretaker | None = None
        self._host = host
        self._opened: dict[str, tuple[int, int]] = {}
        """Market session by instrument, and when it began, ns; 0 for one that was on when we came."""
        self._newest: dict[str, int] = {}
        self._paused = asyncio.Event()

    @property
    def name(self) -> str:
        """The venue's name."""
        return self.access.name

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """What it lists, by key."""
        return self.orders.instruments

    @property
    def market(self) -> MarketInfo | None:
        """What a paper venue says of the market that it plays."""
        return self.dialect.market

    async def open(self) -> None:
        """Make the connection pools; nothing is sent yet."""
        await self.dialect.venue.open()

    async def close(self) -> None:
        """Close all connections."""
        await self.dialect.venue.close()

    async def meet(self) -> bool:
        """Learn the venue's clock, instruments and fees; False, with ``problem``, while it does not answer."""
        try:
            await self.dialect.venue.synchronise_clock()
            await self.orders.load_instruments(self.access.symbols)
        except VenueError as error:
            self.problem = str(error)
            log.warning("venue does not answer yet", venue=self.name, error=self.problem)
        else:
            self.met, self.problem = True, ""
        return self.met

    async def meet_in_the_end(self) -> None:
        """Ask until the venue answers."""
        backoff = Backoff(random.Random(), cap_s=RETRY_CAP_S)  # noqa: S311  # jitter, not a secret
        while True:
            if self.met or await self.meet():
                return
            await asyncio.sleep(backoff.next_delay())

    async def run(self) -> None:
        """Until cancelled; raises what broke a part. A venue that was not met yet joins as soon as it answers."""
        await self.meet_in_the_end()
        if self.feed is None:
            await self._host.join(self)
        await together(self._parts(), of=self.name)

    def keep(self, home: VenueSession) -> None:
        """Leave out what an account of the home venue's quote asset cannot hold, and say so."""
        if isinstance(self.orders, KeyedVenue):
            quote = next((one.quote for one in home.instruments.values()), "")
            if left := self.orders.keep(quote):
                log.warning("instruments left out", venue=self.name, symbols=left, wanted=f"one per base, in {quote}")

    def attach(self, *, interval_ns: int, since_ns: int) -> None:
        """Build feed, account stream and caretaker; ``since_ns``: our books at this venue began then, 0 for never."""
        self.feed = Feed(
            self.instruments,
            names=self.names,
            rules=self.orders.rules,
            follow=self.dialect.follow,
            interval_ns=interval_ns,
            on_market=self._on_market,
        )
        self.users = self.dialect.account(
            AccountHooks(
                on_reports=self._on_reports,
                on_state=self._on_user_stream,
                working=self._working,
                newest_trade=self._newest_trade,
            )
        )
        self.caretaker = self._make_caretaker(since_ns)

    def _make_caretaker(self, since_ns: int) -> Caretaker:
        host = self._host
        dated = self.orders.rules.supports(Feature.REQUEST_DEADLINE)
        slack_ns = int((host.config.venue_clock_slack_s if dated else host.config.undated_slack_s) * SECOND_NS)
        reconciler = Reconciler(
            venue=self.orders,
            books=self.books,
            report=host.report,
            in_flight=host.gateway.in_flight,
            clock=time.time_ns,
            settle_after_ns=host.kernel.config.send_within_ns + slack_ns,
            since_ns=since_ns,
            adoptable=lambda: host.adoptable,
            dust=self.orders.rules.dust_atoms,
        )
        return Caretaker(books=self.books, gateway=host.gateway, reconciler=reconciler, host=self, config=host.config)

    @property
    def books(self) -> VenueBooks:
        """The books as far as they are of this venue."""
        return VenueBooks(self._host.kernel.books, self.names, lambda: self.instruments)

    def _parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs for this venue, by name; RuntimeError before ``attach``."""
        if self.feed is None or self.users is None or self.caretaker is None:
            raise RuntimeError(f"expected venue {self.name} to be attached before trading")
        return {
            "market": self.feed.run(),
            "account": self.users.run(),
            "clock": self._keep_clock(),
            "orders": self.caretaker.settle_orders(),
            "reconciliation": self.caretaker.keep_reconciled(),
        }

    async def _keep_clock(self) -> None:
        """Until cancelled: measure the venue's clock now and then, and after a pause; a bad answer keeps the old one.

        Windows and deadlines of orders are told in the venue's time, and our clock may drift or be set.
        """
        wait_s = CLOCK_EVERY_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._paused.wait()
            self._paused.clear()
            try:
                await self.dialect.venue.synchronise_clock()
            except VenueError as error:
                log.warning("venue's clock was not measured", venue=self.name, error=str(error))
                wait_s = RETRY_CAP_S
            else:
                wait_s = CLOCK_EVERY_S

    # -- market

    def _on_market(self, event: MarketEvent, now: int, cause: Cause) -> None:
        if type(event) is FeedStatus and event.session_id:
            known = self._opened.get(event.symbol)
            if known is None or known[0] != event.session_id:
                self._opened[event.symbol] = (event.session_id, now if known else 0)
        self._host.on_market(event, now, cause)

    def on_time(self, now: int) -> None:
        """Let the feed notice silence; a quote that it keeps confirming is fresh although it does not change."""
        if self.feed is None:
            return
        self.feed.on_time(now)
        for symbol, view in self.feed.views.items():
            reference = view.reference(now)
            if reference is not None and reference.source == "mid":
                self._host.kernel.confirm(symbol, now - reference.age_ns)

    def build_bars(self, interval_ns: int) -> None:
        """Bars of this length from now on; nothing where they are built already."""
        if self.feed is not None and self.feed.interval_ns != interval_ns:
            self.feed.restart(f"bars of {self.dialect.check_interval(interval_ns)} from now on", interval_ns)

    def newest_quote(self, symbol: str) -> Cause:
        """How the newest market event of ``symbol`` came to us."""
        return self.feed.quotes.get(symbol, NO_CAUSE) if self.feed is not None else NO_CAUSE

    async def history(self, symbols: Sequence[str], interval_ns: int) -> list[Bar]:
        """Closed bars of the present session, oldest first per instrument; without them the strategy just waits.

        ValueError for an interval that the venue does not have.
        """
        self.dialect.check_interval(interval_ns)
        bars: list[Bar] = []
        for symbol in symbols:
            try:
                found = await self.dialect.history(self.names.native(symbol), interval_ns, HISTORY_BARS)
            except VenueError as error:
                log.warning("no history", venue=self.name, symbol=symbol, error=str(error))
                continue
            now, opened = time.time_ns(), self._session_opened(symbol)
            bars += [self.names.inward(bar) for bar in found if bar.ts_event <= now and bar.start >= opened]
        return bars

    def _session_opened(self, symbol: str) -> int:
        """When the market session began, ns; bars from before belong to other prices."""
        known = self._opened.get(symbol)
        if known is not None and known[1]:
            return known[1]
        return int(self.market.session.get("openedAt", 0)) * MS if self.market else 0

    # -- account

    def _on_reports(self, events: Sequence[JournalEvent]) -> None:
        for event in events:
            self._host.report(self.names.reported(event))

    def _on_user_stream(self, connected: bool, detail: str) -> None:
        if not connected:
            self.disconnected(f"account stream lost: {detail}")
        else:
            self.want()

    def _working(self) -> Mapping[str, str]:
        return {order.client_id: self.names.native(order.symbol) for order in self.books.open_orders()}

    def _newest_trade(self, native: str) -> int:
        """Walks all trades once per symbol; afterwards ``note_fill`` keeps it."""
        symbol = self.names.key(native)
        if symbol not in self._newest:
            trades = self._host.kernel.books.trades
            self._newest[symbol] = max((trade_id for traded, trade_id in trades if traded == symbol), default=0)
        return self._newest[symbol]

    def note_fill(self, fill: OrderFilled) -> None:
        """The books have this fill."""
        if fill.symbol in self._newest:
            self._newest[fill.symbol] = max(fill.trade_id, self._newest[fill.symbol])

    def report(self, event: JournalEvent) -> None:
        """What the caretaker found out."""
        self._host.report(event)

    def disconnected(self, reason: str) -> None:
        """No orders here until the books were compared with the venue's again."""
        if self.caretaker is not None:
            self.caretaker.cut()
        self._host.venue_lost(self.name, reason)

    def account_silent(self) -> None:
        """The account stream is open and tells nothing: make a new one."""
        log.warning("account stream is silent; connecting again", venue=self.name)
        if self.users is not None:
            self.users.restart()

    def want(self) -> None:
        """Compare the books with the venue's as soon as possible."""
        if self.caretaker is not None:
            self.caretaker.want()

    def resync(self, reason: str) -> None:
        """The process was paused: trust no connection, and compare everything anew."""
        self._paused.set()
        if self.caretaker is not None:
            self.caretaker.cut()
            self.caretaker.want()
        if self.feed is not None:
            self.feed.restart(reason)
        if self.users is not None:
            self.users.restart()

    @property
    def reconciled(self) -> bool:
        """True while the books are known to agree with the venue's."""
        return self.name in self._host.kernel.desk.risk.reconciled_at

    @property
    def connected(self) -> bool:
        """True while reports reach us and records reach the disk: only then does a comparison last."""
        return self.users is not None and self.users.connected and not self._host.gateway.broken
