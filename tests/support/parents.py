"""A parent order in a kernel, against a venue that answers as it is told: fills, parts, rejections, silence."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.support.kernels import BTC, LIMITS, Rig, instrument
from workers.engine import events as e
from workers.engine.accounting.books import Books
from workers.engine.config import SECOND_NS
from workers.engine.execution.parent import Parent, ParentRequest
from workers.engine.instruments import Instrument
from workers.engine.ports import Send
from workers.engine.vocabulary import OrderStatus, Side, TimeInForce

MS = SECOND_NS // 1000
MIDDLE = 100_00
COARSE = instrument("BTCUSDT", "BTC", lot="0.01", min_lots=3, min_notional=Decimal(5))
"""An instrument whose smallest order is more than a lot: 0.01 at 100 are 1 USDT."""
ROOMY: dict[str, Any] = {
    **LIMITS,
    "max_order_qty": {"BTCUSDT": "1000"},
    "max_position": {"BTCUSDT": "5000"},
    "max_order_notional": "10000000",
    "max_gross_notional": "10000000",
    "max_orders_per_second": "100000",
    "burst": 100000,
    "collar_bps": 1000,
    "max_daily_loss": "1000000",
    "max_drawdown": "1000000",
}


class Bench:
    """One kernel with a run, one market, and a venue in between. ``answers`` decides what becomes of each order."""

    def __init__(self, item: Instrument = BTC, limits: dict[str, Any] | None = None) -> None:
        self.rig = Rig((item,))
        self.rig.open(limits=limits or ROOMY, cash="10000000")
        self.item = item
        self.seen = 0
        self.middle = MIDDLE
        self.tape: list[tuple[int, int]] = []
        self.children: list[Send] = []
        self.quote()

    @property
    def books(self) -> Books:
        return self.rig.books

    def quote(self, move: int = 0) -> None:
        self.middle = min(max(self.middle + move, MIDDLE - 200), MIDDLE + 200)
        self.rig.top("BTCUSDT", self.middle - 1, self.middle + 1)

    def start(self, algorithm: str, lots: int, seconds: float, *, side: Side = Side.BUY, **fields: Any) -> Parent:
        end = fields.pop("end", self.rig.now + int(seconds * SECOND_NS))
        limit, seed, begin = fields.pop("limit_price", 0), fields.pop("seed", 1), fields.pop("start", 0)
        request = ParentRequest(
            symbol="BTCUSDT",
            side=side,
            lots=lots,
            algorithm=algorithm,
            params=fields,
            end=end,
            limit_price=limit,
            seed=seed,
            start=begin,
        )
        number = len(self.books.parents) + 1
        self.rig.take(self.rig.kernel.start_parent(self.rig.now, request, parent_id=f"p-{number}", by="operator"))
        return self.books.parents[f"p-{number}"]

    def trade(self, lots: int) -> None:
        """Somebody else traded."""
        now = self.rig.now
        self.tape.append((now, lots))
        self.rig.take(
            self.rig.kernel.on_trade(
                e.Trade(
                    symbol="BTCUSDT",
                    ts_event=now,
                    ts_recv=now,
                    trade_id=len(self.tape),
                    price=self.middle,
                    lots=lots,
                    aggressor=Side.BUY,
                ),
                now,
            )
        )

    def answer(self, how: int = 0) -> None:
        """Let the venue answer for every order and cancel that it has not answered for; 0 is the kindest way."""
        for client_id, order in list(self.books.orders.items()):
            if not order.open:
                continue
            if order.status is OrderStatus.INTENT:
                self._enter(client_id, how)
            if order.open and order.status is not OrderStatus.INTENT and (order.cancel_requested or how == 0):
                self._finish(client_id, how)

    def _enter(self, client_id: str, how: int) -> None:
        order = self.books.orders[client_id]
        if how == 3:
            self.rig.report(e.OrderRejected(ts=self.rig.now, client_id=client_id, code="-1013", message="filter"))
            return
        if how == 4:
            self.rig.report(e.OrderNotSent(ts=self.rig.now, client_id=client_id, detail="too late"))
            return
        self.rig.accept(client_id)
        if order.tif is TimeInForce.IOC and order.open:
            if how < 3:
                self.rig.fill(client_id, max(order.remaining // (how + 1), 1), order.price)
            if order.open:
                self.rig.end(client_id, OrderStatus.EXPIRED)

    def _finish(self, client_id: str, how: int) -> None:
        """What rests is filled, wholly when ``how`` is 0, or its cancel is confirmed."""
        order = self.books.orders[client_id]
        if not order.cancel_requested or how % 2:
            self.rig.fill(client_id, order.remaining if how == 0 else max(order.remaining // 2, 1), order.price)
        if order.open and order.cancel_requested:
            self.rig.end(client_id)

    def wait(self, seconds: float) -> None:
        self.rig.wait(seconds)
        self.rig.take(self.rig.kernel.on_timer(self.rig.now))

    def run(self, seconds: float, *, step: float = 0.25, volume: int = 0, move: int = 0) -> None:
        """Time passes with a kind venue, ``volume`` lots of trades and ``move`` ticks a step."""
        for _ in range(round(seconds / step)):
            self.rig.wait(step)
            if volume:
                self.trade(volume)
            self.quote(move)
            self.rig.take(self.rig.kernel.on_timer(self.rig.now))
            self.answer()

    def intents(self, parent: Parent) -> list[e.OrderIntended]:
        return [x for x in self.rig.journal if isinstance(x, e.OrderIntended) and x.parent_id == parent.parent_id]

    def committed(self, parent: Parent) -> int:
        """Lots done and lots that may still fill."""
        return parent.filled + sum(self.books.orders[client_id].remaining for client_id in parent.open)
