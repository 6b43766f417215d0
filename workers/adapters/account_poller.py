"""Execution reports of a venue that does not push them one by one: its fills and ends are asked for.

It stands where ``binance.user_stream.UserStream`` stands, and like that announces every loss and return of the venue,
upon which whoever listens must reconcile before trusting the books again.

The state of an order is read *before* its fills: an order that is over has no later ones, so that its end is never
reported ahead of a fill. Fills are reported once, by number; the books count each number once besides.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from workers.adapters.binance.reports import fill_of
from workers.adapters.venue import OrderNotFound, OrderUnsure, Venue, VenueBusy, VenueError, VenueOrder
from workers.engine.events import JournalEvent, OrderEnded
from workers.engine.market.dedup import SeenTrades
from workers.engine.market.reconnect import Backoff
from workers.engine.vocabulary import OrderStatus

ENDED: Final = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED})

log = structlog.get_logger(__name__)

Working = Mapping[str, str]
"""Client id to symbol of every order that the venue may still change."""


class AccountPoller:
    """Follows the working orders of one account; ``run`` once."""

    def __init__(
        self,
        *,
        venue: Venue,
        working: Callable[[], Working],
        newest_trade: Callable[[str], int],
        on_reports: Callable[[Sequence[JournalEvent]], None],
        on_state: Callable[[bool, str], None],
        clock: Callable[[], int],
        backoff: Backoff,
        interval_s: float = 1.0,
        settled: Callable[[], Awaitable[Sequence[JournalEvent]]] | None = None,
    ) -> None:
        """``newest_trade``: number of the newest trade of a symbol that the books have, 0 for none.

        ``settled`` asks for what moves the account besides trades, where a venue has something of the kind.
        """
        self._venue = venue
        self._working = working
        self._newest = newest_trade
        self._on_reports = on_reports
        self._on_state = on_state
        self._clock = clock
        self._backoff = backoff
        self._interval_s = interval_s
        self._settled = settled
        self._seen = SeenTrades(venue.name)
        self._again = asyncio.Event()
        self._orders: dict[str, str] = {}
        """The venue's order id to ours."""
        self.connected = False

    def restart(self) -> None:
        """Ask at once, and tell every fill again that the venue lists: somebody found that one was not told."""
        self._seen = SeenTrades(self._venue.name)
        self._again.set()

    async def run(self) -> None:
        """Poll until cancelled. Raises what a handler raised."""
        while True:
            try:
                await self._round()
            except VenueBusy as busy:
                await asyncio.sleep(busy.retry_after)
                continue
            except VenueError as error:
                await self._lost(str(error))
                continue
            self._backoff.reset()
            if not self.connected:
                self.connected = True
                self._on_state(True, "connected")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), self._interval_s)
            self._again.clear()

    async def _lost(self, detail: str) -> None:
        if self.connected:
            self.connected = False
            self._on_state(False, detail)
        delay = self._backoff.next_delay() + self._interval_s
        log.warning("account cannot be asked", venue=self._venue.name, detail=detail, retry_in_s=round(delay, 2))
        await asyncio.sleep(delay)

    async def _round(self) -> None:
        """One look at everything that works; with nothing at work the venue is only asked whether it answers."""
        if self._settled is not None and (events := await self._settled()):
            self._on_reports(events)
        working = dict(self._working())
        if not working:
            await self._venue.synchronise_clock()
            return
        ended = [order for client_id, symbol in working.items() if (order := await self._ended(symbol, client_id))]
        for symbol in sorted(set(working.values())):
            await self._fills(symbol)
        for order in ended:
            detail = "over at the venue"
            self._on_reports(
                [OrderEnded(ts=self._clock(), client_id=order.client_id, status=order.status, detail=detail)]
            )

    async def _ended(self, symbol: str, client_id: str) -> VenueOrder | None:
        """The order when it is over without having been filled whole; None while it works or is not known."""
        try:
            found = await self._venue.query(symbol, client_id)
        except (OrderNotFound, OrderUnsure):
            # Perhaps not there yet, or not to be told: what became of it is the reconciler's business.
            return None
        self._orders[found.venue_order_id] = client_id
        return found if found.status in ENDED else None

    async def _fills(self, symbol: str) -> None:
        for trade in await self._venue.trades(symbol, self._newest(symbol)):
            client_id = self._orders.get(trade.venue_order_id)
            if client_id is None:
                client_id = await self._venue.client_id_of(symbol, trade.venue_order_id)
                self._orders[trade.venue_order_id] = client_id
            if client_id and self._seen.first(symbol, trade.trade_id):
                self._on_reports([fill_of(trade, client_id, self._clock())])
