"""One kernel that trades one pair at three venues: two with books that empty as they are taken, one that is dark."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.support.kernels import Rig, instrument
from tests.support.parents import ROOMY
from workers.engine import events as e
from workers.engine.accounting.books import Books
from workers.engine.config import SECOND_NS
from workers.engine.execution.orders import Order
from workers.engine.execution.parent import Parent, ParentRequest
from workers.engine.instruments import Instrument, atoms
from workers.engine.market.venues import PAPER, PAPER_DARK
from workers.engine.vocabulary import FeedState, OrderStatus, Side, TimeInForce

HOME, BETA, DARK = "BTCUSDT", "BTCUSDT@beta", "BTCUSDT@dark"
MIDDLE = 100_00
VENUES = {HOME: "paper", BETA: "beta", DARK: "dark"}
FEATURES = {"beta": PAPER.features, "dark": PAPER_DARK.features}
LEVEL_LOTS = 50


def listed(symbol: str, **changes: Any) -> Instrument:
    fields = {"lot": "0.01", "min_lots": 1, "min_notional": Decimal("0.5"), **changes}
    return instrument(symbol, "BTC", venue=VENUES[symbol], **fields)


def limits_for(symbols: list[str]) -> dict[str, Any]:
    return {
        **ROOMY,
        "max_open_orders": 20,
        "max_order_qty": dict.fromkeys(symbols, "1000"),
        "max_position": dict.fromkeys(symbols, "5000"),
    }


class World:
    """``shown[symbol][side]`` is what others offer of that side, best first; ``inside`` what the dark venue hides."""

    def __init__(self, *items: Instrument, cash: str = "1000000", btc: str = "1000") -> None:
        self.items = items or (listed(HOME), listed(BETA), listed(DARK))
        self.rig = Rig(self.items, features_at=FEATURES)
        self.shown: dict[str, dict[Side, list[tuple[int, int]]]] = {}
        self.inside: dict[Side, int] = {Side.BUY: 0, Side.SELL: 0}
        self.rig.open(limits=limits_for([item.symbol for item in self.items]), cash=cash)
        for item in self.items:
            self.fund(item, cash, btc)
            self.reconcile(item.venue)
        self.rig.kernel.desk.depth = self.depth
        self.refresh()

    @property
    def books(self) -> Books:
        return self.rig.books

    @property
    def lit(self) -> list[Instrument]:
        return [item for item in self.items if item.symbol != DARK]

    def fund(self, item: Instrument, cash: str, btc: str) -> None:
        self.rig.report(e.BalanceAdopted(ts=self.rig.now, asset=item.quote_key, total=atoms(cash, "USDT")))
        self.rig.report(e.BalanceAdopted(ts=self.rig.now, asset=item.base_key, total=atoms(btc, "BTC")))

    def reconcile(self, venue: str, *, ok: bool = True) -> None:
        breaks = () if ok else ("BTC 1 is not 2",)
        done = e.ReconciliationDone(
            ts=self.rig.now, ok=ok, orders_checked=0, fills_adopted=0, breaks=breaks, venue=venue.replace("paper", "")
        )
        self.rig.report(done)

    def depth(self, symbol: str, side: Side, levels: int) -> tuple[tuple[int, int], ...]:
        return tuple(self.shown.get(symbol, {}).get(side, []))[:levels]

    def offer(self, symbol: str, *, ask: int = MIDDLE + 1, bid: int = MIDDLE - 1, lots: int = LEVEL_LOTS) -> None:
        """Three levels of ``lots`` on either side, and the touch told to the kernel."""
        self.shown[symbol] = {
            Side.SELL: [(ask + step, lots) for step in range(3)],
            Side.BUY: [(bid - step, lots) for step in range(3)],
        }
        self.rig.top(symbol, bid, ask)

    def refresh(self, lots: int = LEVEL_LOTS) -> None:
        """Fill the lit books again, and tell their touch."""
        for item in self.lit:
            self.offer(item.symbol, lots=lots)

    def start(self, lots: int, algorithm: str = "sweep", *, side: Side = Side.BUY, **fields: Any) -> Parent:
        seconds, limit = fields.pop("seconds", 0), fields.pop("limit_price", 0)
        request = ParentRequest(
            symbol=HOME,
            side=side,
            lots=lots,
            algorithm=algorithm,
            params=fields,
            end=self.rig.now + int(seconds * SECOND_NS) if seconds else 0,
            limit_price=limit,
            route=True,
        )
        number = len(self.books.parents) + 1
        self.rig.take(self.rig.kernel.start_parent(self.rig.now, request, parent_id=f"p-{number}", by="operator"))
        return self.books.parents[f"p-{number}"]

    def wait(self, seconds: float) -> None:
        self.rig.wait(seconds)
        self.rig.take(self.rig.kernel.on_timer(self.rig.now))

    # -- the venues

    def waiting(self) -> list[Order]:
        """Orders that no venue has said anything of."""
        return [order for order in self.books.open_orders() if order.status is OrderStatus.INTENT]

    def answer(self, order: Order) -> None:
        """As an honest venue: take what is there within the limit, and end what is not to rest."""
        self.rig.accept(order.client_id)
        for price, lots in self._matched(order):
            self.rig.fill(order.client_id, lots, price)
        if order.open and order.tif is TimeInForce.IOC:
            self.rig.end(order.client_id, OrderStatus.EXPIRED)

    def answer_all(self) -> None:
        for order in self.books.open_orders():
            if order.cancel_requested and order.status is not OrderStatus.INTENT:
                self.rig.end(order.client_id)
        while waiting := self.waiting():
            for order in waiting:
                self.answer(order)

    def _matched(self, order: Order) -> list[tuple[int, int]]:
        other = Side.SELL if order.side is Side.BUY else Side.BUY
        if order.symbol == DARK:
            lots = min(self.inside[other], order.remaining)
            if lots < max(order.min_lots, 1):
                return []
            self.inside[other] -= lots
            return [(MIDDLE, lots)]
        matched, left, kept = [], order.remaining, list[tuple[int, int]]()
        for price, shown in self.shown[order.symbol][other]:
            part = min(shown, left) if (price - order.price) * order.side <= 0 else 0
            if part:
                matched.append((price, part))
                left -= part
            if shown > part:
                kept.append((price, shown - part))
        self.shown[order.symbol][other] = kept
        return matched

    # -- what came of it

    def decisions(self, parent: Parent) -> list[e.RouteDecided]:
        return [x for x in self.rig.journal if isinstance(x, e.RouteDecided) and x.parent_id == parent.parent_id]

    def legs(self, parent: Parent) -> list[e.OrderIntended]:
        return [x for x in self.rig.journal if isinstance(x, e.OrderIntended) and x.parent_id == parent.parent_id]

    def committed(self, parent: Parent) -> int:
        """Lots done and lots that may still fill."""
        return parent.filled + self.rig.kernel.desk.parents.open_lots(parent)

    def live(self, symbol: str, state: FeedState = FeedState.LIVE) -> None:
        self.rig.feed(symbol, state)
