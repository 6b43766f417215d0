"""Keeps promises about orders: doubts are asked about, cancels are repeated, books are compared with the venue's."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final, Protocol

import structlog

from workers.adapters.venue import VenueError
from workers.engine.events import JournalEvent
from workers.engine.execution.orders import Order
from workers.engine.vocabulary import OrderStatus
from workers.live.execution.config import LoopConfig
from workers.live.execution.gateway import Gateway
from workers.live.execution.metrics import RECONCILIATIONS
from workers.live.execution.reconcile import Reconciler
from workers.live.execution.venue_books import VenueBooks

LOOK_S: Final = 0.25
ASK_AGAIN_S: Final = 1.0
CANCEL_AGAIN_S: Final = 2.0
LONGEST_RETRY_S: Final = 30.0
SECOND_NS: Final = 1_000_000_000

log = structlog.get_logger(__name__)


class Host(Protocol):
    """What the caretaker tells the loop."""

    def report(self, event: JournalEvent) -> None: ...
    def disconnected(self, reason: str) -> None: ...
    def account_silent(self) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def reconciled(self) -> bool: ...
    @property
    def connected(self) -> bool: ...


class Caretaker:
    """Two tasks: ``settle_orders`` looks after single orders, ``keep_reconciled`` after the whole."""

    def __init__(
        self, *, books: VenueBooks, gateway: Gateway, reconciler: Reconciler, host: Host, config: LoopConfig
    ) -> None:
        self._books = books
        self._gateway = gateway
        self._reconciler = reconciler
        self._host = host
        self._config = config
        self._wanted = asyncio.Event()
        self._doubts: set[str] = set()
        self._asked: dict[str, float] = {}
        self._cancelled: dict[str, float] = {}
        self._failures = 0
        self._cuts = 0
        self._cuts_compared = -1
        self.passes = 0

    def want(self) -> None:
        """Reconcile as soon as possible."""
        self._wanted.set()

    def cut(self) -> None:
        """A connection was lost or the process paused: a comparison under way proves nothing any more."""
        self._cuts += 1

    def doubt(self, client_id: str) -> None:
        """Ask the venue about this order even though its state looks settled."""
        self._doubts.add(client_id)

    # -- single orders

    async def settle_orders(self) -> None:
        """Until cancelled: resolve orders whose fate is unknown, and repeat cancels that were not confirmed."""
        while True:
            await asyncio.sleep(LOOK_S)
            open_orders = self._books.open_orders()
            for order in open_orders:
                await self._look_after(order)
            self._forget({order.client_id for order in open_orders})

    async def _look_after(self, order: Order) -> None:
        if self._gateway.in_flight(order.client_id):
            return
        now = time.monotonic()
        if self._is_doubtful(order) and now - self._asked.get(order.client_id, 0.0) >= ASK_AGAIN_S:
            self._asked[order.client_id] = now
            await self._ask(order)
        if order.open and order.cancel_requested:
            first = self._cancelled.setdefault(order.client_id, now)
            if now - first >= CANCEL_AGAIN_S:
                self._cancelled[order.client_id] = now
                self._gateway.cancel(order.symbol, order.client_id)

    def _is_doubtful(self, order: Order) -> bool:
        if order.status in (OrderStatus.UNKNOWN, OrderStatus.INTENT) or order.client_id in self._doubts:
            return True
        silent_ns = time.time_ns() - order.updated
        return order.status is OrderStatus.SENT and silent_ns > self._config.resolve_after_s * SECOND_NS

    async def _ask(self, order: Order) -> None:
        try:
            if await self._reconciler.settle(order):
                self._doubts.discard(order.client_id)
        except VenueError as error:
            log.info("order not settled yet", client_id=order.client_id, error=str(error))

    def _forget(self, still_open: set[str]) -> None:
        self._doubts &= still_open
        for remembered in (self._asked, self._cancelled):
            for client_id in remembered.keys() - still_open:
                del remembered[client_id]

    # -- everything

    async def keep_reconciled(self) -> None:
        """Until cancelled: reconcile when asked to, when books are not reconciled, and every minute."""
        while True:
            wait_s = self._config.reconcile_every_s if self._host.reconciled else self._retry_s()
            # Not wait_for, which can lose a cancellation that comes together with the wish.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wanted.wait()
            self._wanted.clear()
            if self._host.connected:
                await self._reconcile()

    def _retry_s(self) -> float:
        return min(self._config.retry_s * 2.0 ** min(self._failures, 4), LONGEST_RETRY_S)

    async def _reconcile(self) -> None:
        cuts, late = self._cuts, self._reconciler.late_fills
        try:
            done = await self._reconciler.run()
        except VenueError as error:
            self._failures += 1
            self._count("venue away")
            self._host.disconnected(f"the venue cannot be asked: {error}")
            return
        if done is None or cuts != self._cuts:
            self._count("overtaken")
            return
        self._failures = 0 if done.ok else self._failures + 1
        self.passes += 1
        self._count("agreed" if done.ok else "breaks")
        if not done.ok:
            log.error("books differ from the venue's", venue=self._host.name, breaks=list(done.breaks))
        self._host.report(done)
        if self._reconciler.late_fills > late and cuts == self._cuts_compared:
            # Connected all the time since the last comparison, and yet fills were not told.
            self._host.account_silent()
        self._cuts_compared = cuts

    def _count(self, outcome: str) -> None:
        RECONCILIATIONS.labels(self._host.name, outcome).inc()
