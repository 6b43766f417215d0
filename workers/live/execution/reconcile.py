"""Making our books agree with the venue's, and saying so when they do not.

Only the venue's own answer settles an order: found, it tells state and fills; not found counts as never arrived only
after its send deadline, when the venue would refuse it, and only where it was asked so that it would have shown it.
Missing fills are adopted by trade id. Then all balances must agree to the last atom; what differs is listed with both
values and nothing is traded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from workers.adapters.binance.reports import fill_of
from workers.adapters.venue import OrderNotFound, OrderUnsure, VenueOrder, VenueTrade
from workers.engine.events import (
    BalanceAdopted,
    JournalEvent,
    OrderAccepted,
    OrderEnded,
    OrderNotSent,
    OrderRejected,
    ReconciliationDone,
)
from workers.engine.execution.client_ids import is_ours
from workers.engine.execution.orders import Order
from workers.engine.instruments import from_atoms
from workers.engine.vocabulary import OrderStatus
from workers.live.execution.venue_books import VenueBooks

ATTEMPTS: Final = 6
LATE_NS: Final = 5_000_000_000
PAUSE_S: Final = 0.25
UNSETTLED: Final = frozenset({OrderStatus.INTENT, OrderStatus.SENT, OrderStatus.UNKNOWN})
ENDED: Final = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED})


class Leave(msgspec.Struct, frozen=True, kw_only=True):
    """A person's decision to adopt the venue's balance of ``asset`` where exactly these differ; atoms, ns."""

    id: str
    asset: str
    ours: int
    theirs: int
    until: int


class AccountPort(Protocol):
    """What reconciliation asks of a venue. All may raise VenueError."""

    async def query(self, symbol: str, client_id: str) -> VenueOrder: ...
    async def open_orders(self) -> list[VenueOrder]: ...
    async def trades(self, symbol: str, after: int) -> list[VenueTrade]: ...
    async def balances(self) -> dict[str, int]: ...
    async def client_id_of(self, symbol: str, venue_order_id: str) -> str: ...


class Reconciler:
    """Compares and repairs through ``report``; holds no state but how far the venue's trades were compared."""

    def __init__(
        self,
        *,
        venue: AccountPort,
        books: VenueBooks,
        report: Callable[[JournalEvent], None],
        in_flight: Callable[[str], bool],
        clock: Callable[[], int],
        settle_after_ns: int,
        since_ns: int,
        adoptable: Callable[[], Mapping[str, Leave]] = dict,
        dust: int = 0,
    ) -> None:
        """``settle_after_ns``: age at which an order that the venue does not know can no longer arrive.

        ``since_ns``: our books began then (0: never); earlier trades of the account are not ours. ``adoptable`` are
        the differences that people decided on: (ours, theirs) in atoms by asset. ``dust``: atoms by which a balance may
        differ because the venue counts finer; the venue's is taken over.
        """
        self._venue = venue
        self._books = books
        self._report = report
        self._in_flight = in_flight
        self._clock = clock
        self._settle_after_ns = settle_after_ns
        self._adoptable = adoptable
        self._used: set[str] = set()
        """Decisions that were carried out: each lets a balance be adopted once."""
        self._dust = dust
        self.since_ns = since_ns
        self._compared: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        self._missing: set[str] = set()
        self._unsure: dict[str, str] = {}
        """Orders of which the venue cannot tell whether it has them, and why."""
        self._adopted = 0
        self.late_fills = 0
        """Fills adopted here although the account stream had had seconds to report them."""

    # -- one order

    async def settle(self, order: Order) -> bool:
        """Ask the venue about one order and report what it says; False while nothing can be concluded yet.

        OrderUnsure where the venue's answers would not show the order although it had it.
        """
        asked = self._clock()
        try:
            found = await self._venue.query(order.symbol, order.client_id)
        except OrderNotFound as error:
            if error.since > order.created:
                raise OrderUnsure(f"{error}, and it was made before those that the venue tells") from error
            self._missing.add(order.client_id)
            return self._settle_missing(order, asked, str(error))
        self._missing.discard(order.client_id)
        if found.status is OrderStatus.REJECTED:
            code, message = "REJECTED", "rejected by the venue"
            self._report(OrderRejected(ts=self._clock(), client_id=order.client_id, code=code, message=message))
            return True
        self._accept(order.client_id, found)
        if found.filled > order.filled:
            await self.adopt_fills(order.symbol)
        if found.filled > order.filled:
            # The fill that is missing is older than the newest one that we know.
            await self.adopt_fills(order.symbol, everything=True)
        if found.status in ENDED:
            detail = "found over at the venue"
            self._report(OrderEnded(ts=self._clock(), client_id=order.client_id, status=found.status, detail=detail))
        return order.filled >= found.filled

    def _accept(self, client_id: str, found: VenueOrder) -> None:
        self._report(OrderAccepted(ts=self._clock(), client_id=client_id, venue_order_id=found.venue_order_id))

    def _settle_missing(self, order: Order, asked: int, detail: str) -> bool:
        """A slow answer tells of the time when it was asked for: the order may have arrived since then."""
        if order.status not in UNSETTLED:
            return not order.open
        if asked - order.created < self._settle_after_ns:
            return False
        detail = f"the venue does not know it after its send deadline ({detail})"
        self._report(OrderNotSent(ts=self._clock(), client_id=order.client_id, detail=detail))
        return True

    # -- fills

    async def adopt_fills(self, symbol: str, *, everything: bool = False) -> list[str]:
        """Report every trade of ours that the books lack; return what cannot be placed, in words."""
        after = 0 if everything else self._after(symbol)
        self._newest[symbol] = max(after, self._newest.get(symbol, 0))
        breaks: list[str] = []
        for trade in await self._venue.trades(symbol, after):
            self._newest[symbol] = max(trade.trade_id, self._newest[symbol])
            if trade.ts_event < self.since_ns or (symbol, trade.trade_id) in self._books.trades:
                continue
            client_id = await self._owner(trade)
            if client_id in self._books.orders:
                self._adopted += 1
                self.late_fills += self._clock() - trade.ts_event > LATE_NS
                self._report(fill_of(trade, client_id, self._clock()))
            else:
                breaks.append(f"trade {trade.trade_id} in {symbol} is of order {client_id}, which the journal lacks")
        return breaks

    def _after(self, symbol: str) -> int:
        """The newest trade that was compared; before the first comparison, the newest that we know."""
        if symbol in self._compared:
            return self._compared[symbol]
        return max((trade_id for traded, trade_id in self._books.trades if traded == symbol), default=0)

    async def _owner(self, trade: VenueTrade) -> str:
        for order in self._books.orders.values():
            if order.venue_order_id == trade.venue_order_id and order.symbol == trade.symbol:
                return order.client_id
        return await self._venue.client_id_of(trade.symbol, trade.venue_order_id)

    # -- everything

    async def run(self) -> ReconciliationDone | None:
        """Compare orders, fills and balances; None when trading was too lively for a verdict. May raise VenueError."""
        self._adopted = 0
        await self._begin()
        open_orders = self._books.open_orders()
        breaks = await self._compare_orders()
        verdict = await self._compare_balances()
        if verdict is None:
            return None
        breaks += verdict
        return ReconciliationDone(
            ts=self._clock(),
            ok=not breaks,
            orders_checked=len(open_orders),
            fills_adopted=self._adopted,
            breaks=tuple(breaks),
            venue=self._books.suffix,
        )

    async def _begin(self) -> None:
        """At first contact the venue's balances are taken as ours; trades before that are somebody's history."""
        if self.since_ns:
            return
        balances = await self._venue.balances()
        self.since_ns = now = self._clock()
        for asset, total in sorted(balances.items()):
            self._report(BalanceAdopted(ts=now, asset=asset, total=total))

    async def _compare_orders(self) -> list[str]:
        self._missing.clear()
        self._unsure.clear()
        for order in self._books.open_orders():
            if not self._in_flight(order.client_id):
                await self._settle_patiently(order)
        breaks = [
            f"order {order.client_id} is {order.status.value} here and unknown at the venue"
            for order in self._books.open_orders()
            if (order.status in UNSETTLED or order.client_id in self._missing)
            and order.client_id not in self._unsure
            and not self._in_flight(order.client_id)
        ]
        breaks += [
            f"order {client_id} is {self._books.orders[client_id].status.value} here and the venue cannot tell what "
            f"became of it ({why}): look for it at the venue, and cancel it there if it is open"
            for client_id, why in self._unsure.items()
        ]
        breaks += [
            f"order {order.client_id} is open here in {order.symbol}, which the venue does not list to this worker"
            for order in self._books.unlisted_orders()
        ]
        for found in await self._venue.open_orders():
            if not is_ours(found.client_id) or self._in_flight(found.client_id):
                continue
            ours = self._books.orders.get(found.client_id)
            if ours is None:
                breaks.append(f"order {found.client_id} is open at the venue and not in the journal")
            elif not ours.open:
                self._accept(ours.client_id, found)
                if not ours.open:
                    breaks.append(f"order {ours.client_id} is open at the venue and {ours.status.value} here")
        return breaks

    async def _settle_patiently(self, order: Order) -> None:
        """Wait out the send deadline of an order that the venue does not know: it may still be on its way."""
        try:
            while order.open and not await self.settle(order):
                await asyncio.sleep(PAUSE_S)
                if self._clock() - order.created > 2 * self._settle_after_ns:
                    return
        except OrderUnsure as error:
            self._unsure[order.client_id] = str(error)

    async def _compare_balances(self) -> list[str] | None:
        """Exact comparison, repeated while fills move under it; at the last try all trades are read again."""
        breaks: list[str] = []
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            breaks = []
            for symbol in self._books.symbols():
                breaks += await self.adopt_fills(symbol, everything=attempt >= ATTEMPTS - 2)
            ours = self._books.balances()
            theirs = await self._venue.balances()
            if self._books.balances() == ours:
                self._sweep(ours, theirs)
                if last:
                    self._adopt(ours, theirs)
                ours = self._books.balances()
            differences = _differences(ours, theirs)
            if not differences and not breaks:
                self._remember()
                return []
            if last and self._books.balances() != ours:
                return None
            breaks += differences
            await asyncio.sleep(PAUSE_S)
        return breaks

    def _sweep(self, ours: dict[str, int], theirs: dict[str, int]) -> None:
        """Take over what differs by rounding alone; nothing while anything differs by more."""
        off = {asset: theirs.get(asset, 0) - ours.get(asset, 0) for asset in sorted(ours.keys() | theirs.keys())}
        if max(map(abs, off.values()), default=0) <= self._dust:
            for asset in (asset for asset, difference in off.items() if difference):
                self._report(BalanceAdopted(ts=self._clock(), asset=asset, total=theirs.get(asset, 0)))

    def _adopt(self, ours: dict[str, int], theirs: dict[str, int]) -> None:
        """Take the venue's balance where a person decided so for exactly what differs after all trades were read."""
        for asset, leave in sorted(self._adoptable().items()):
            found = (ours.get(asset, 0), theirs.get(asset, 0))
            if leave.id in self._used or self._clock() >= leave.until:
                continue
            if found == (leave.ours, leave.theirs) and leave.ours != leave.theirs:
                self._used.add(leave.id)
                self._report(BalanceAdopted(ts=self._clock(), asset=asset, total=leave.theirs, decision=leave.id))

    def _remember(self) -> None:
        """Balances agree, so no trade up to the newest that the venue told can be missing."""
        self._compared.update(self._newest)


def _differences(ours: dict[str, int], theirs: dict[str, int]) -> list[str]:
    return [
        f"{asset}: {from_atoms(ours.get(asset, 0)):f} here, {from_atoms(theirs.get(asset, 0)):f} at the venue"
        for asset in sorted(ours.keys() | theirs.keys())
        if ours.get(asset, 0) != theirs.get(asset, 0)
    ]
