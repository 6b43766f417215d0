"""A dark venue: immediate limit orders of one account cross at the middle of another venue's book.

The book that it is given is its reference and nothing of it can be taken. Its tick is half of the reference's, so that
prices there are even numbers of its ticks and the middle of any two of them is a whole one: nothing is rounded. What an
order meets is hidden (``matching_hidden``). It fills in full, or at least its minimum, or not at all; always in one
execution, at the middle, and never when the middle is worse than its limit or the reference is empty or crossed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workers.engine.execution.matching import MatchingEngine, Pit
from workers.engine.execution.matching_hidden import HiddenLiquidity, Moment
from workers.engine.execution.matching_types import NewOrder, Refusal, Reports, VenueOrder
from workers.engine.instruments import GridError, Instrument
from workers.engine.vocabulary import OrderType, Side, TimeInForce


class MidpointEngine(MatchingEngine):
    """The engine of a dark venue; ``moment`` is the market's time, which whoever feeds the reference sets."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        balances: Mapping[str, int],
        *,
        hidden: HiddenLiquidity,
        next_order_id: int = 1,
        next_trade_id: int = 1,
    ) -> None:
        """``instruments`` have half the tick of the reference's."""
        super().__init__(instruments, balances, next_order_id=next_order_id, next_trade_id=next_trade_id)
        self.hidden = hidden
        self.moment = Moment(0, 0)

    def middle(self, symbol: str) -> int:
        """Where orders cross now, in ticks; 0 when the reference has no two sides, or they are crossed.

        GridError when the reference's prices are not even numbers of our ticks.
        """
        bid, ask = self.book(symbol, Side.BUY).best, self.book(symbol, Side.SELL).best
        if not 0 < bid < ask:
            return 0
        if bid % 2 or ask % 2:
            raise GridError(f"expected reference of {symbol} in even ticks, was bid {bid}, ask {ask}")
        return (bid + ask) // 2

    def _filter_refusal(self, market: Pit, new: NewOrder) -> tuple[Refusal, str] | None:
        if new.order_type is not OrderType.LIMIT:
            return Refusal.ORDER_TYPE, f"{new.order_type} at a dark venue"
        if new.tif is not TimeInForce.IOC:
            return Refusal.TIME_IN_FORCE, f"{new.tif} at a dark venue"
        return super()._filter_refusal(market, new)

    def _minimum_refusal(self, new: NewOrder) -> tuple[Refusal, str] | None:
        if not 0 <= new.min_lots <= new.lots:
            return Refusal.LOT_SIZE, f"minimum of {new.min_lots} lots not within 0..{new.lots}"
        return None

    def _take(self, market: Pit, order: VenueOrder, now: int, reports: list[Reports]) -> None:
        symbol, other = order.symbol, Side.SELL if order.side is Side.BUY else Side.BUY
        price = self.middle(symbol)
        if not price or (price - order.price) * order.side > 0:
            return
        cost = price * market.instrument.lot_value
        lots = min(order.lots, self.hidden.left(symbol, other, self.moment) // cost)
        if lots < max(order.min_lots, 1):
            return
        self.hidden.take(symbol, other, self.moment, lots * cost)
        reports.append(self._fill(market, order, lots, price, now, maker=False))
