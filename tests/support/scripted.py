"""A strategy that orders what a test tells it to, and a desk that wants it."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

import msgspec

from tests.support.execution import Desk, desired, published
from tests.support.kernels import LIMITS
from workers.engine.desk import Desk as KernelDesk
from workers.engine.events import Bar
from workers.engine.risk.gate import OrderRequest
from workers.engine.strategy import Params, Strategy, register
from workers.engine.vocabulary import OrderType, Side, TimeInForce


class ScriptParams(Params, frozen=True):
    """Nothing to set."""


@register("test_follow_script", ScriptParams)
class Script(Strategy[ScriptParams]):
    """Orders what is in ``wanted``; keeps what it was warmed with and the bars that closed since."""

    wanted: ClassVar[deque[OrderRequest]] = deque()
    warmed: ClassVar[list[Bar]] = []
    closed: ClassVar[list[Bar]] = []

    def on_warm(self, bar: Bar) -> None:
        self.warmed.append(bar)

    def on_bar(self, desk: KernelDesk, bar: Bar) -> None:
        self.closed.append(bar)

    def on_timer(self, desk: KernelDesk) -> None:
        while self.wanted:
            desk.order(self.wanted.popleft())

    @classmethod
    def forget(cls) -> None:
        """Begin anew."""
        cls.wanted.clear()
        cls.warmed.clear()
        cls.closed.clear()

    @classmethod
    def want(cls, symbol: str, side: Side, lots: int, *, price: int = 0, tif: TimeInForce = TimeInForce.GTC) -> None:
        """One order, at market unless there is a price."""
        kind = OrderType.LIMIT if price else OrderType.MARKET
        cls.wanted.append(OrderRequest(symbol=symbol, side=side, lots=lots, price=price, order_type=kind, tif=tif))


def follow_script(desk: Desk, symbols: list[str], interval_ns: int, **limits: Any) -> None:
    """Let ``desk`` run the script on ``symbols``."""
    base = desired()
    plan = {**base.runs[0], "strategy": "test_follow_script", "params": {}, "model_digest": "", "instruments": symbols}
    loose = {
        **LIMITS,
        "max_orders_per_second": "100",
        "max_order_qty": dict.fromkeys(symbols, "1000000"),
        "max_position": dict.fromkeys(symbols, "1000000"),
        **limits,
    }
    desk.wanted = msgspec.structs.replace(base, limits=published(loose), runs=[{**plan, "interval_ns": interval_ns}])
