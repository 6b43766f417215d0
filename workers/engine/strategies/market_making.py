"""Quote both sides of the book with orders that only ever rest, leaning against what is already held."""

from __future__ import annotations

from typing import Annotated

import msgspec

from workers.engine.config import SECOND_NS
from workers.engine.desk import Desk
from workers.engine.events import TopOfBook
from workers.engine.portfolio.sizing import lots_for_weight
from workers.engine.risk.gate import OrderRequest
from workers.engine.strategy import Fraction, NotNegative, Params, PositiveInt, Strategy, register
from workers.engine.vocabulary import OrderType, Side, TimeInForce


class MarketMakingParams(Params, frozen=True):
    """``size`` of one quote and ``most`` held, as fractions of equity; distances in basis points of the middle."""

    size: Fraction = 0.01
    most: Fraction = 0.05
    half_spread_bps: NotNegative = 2.0
    skew_bps: NotNegative = 2.0
    """How far both quotes move down when ``most`` is held."""
    requote_ticks: PositiveInt = 50
    every_s: Annotated[float, msgspec.Meta(ge=0.05)] = 1.0


@register("market_making", MarketMakingParams)
class MarketMaking(Strategy[MarketMakingParams]):
    """One bid and one ask at most; a quote that stands ``requote_ticks`` off is withdrawn, and placed anew after."""

    def __init__(self, params: MarketMakingParams) -> None:
        super().__init__(params)
        self._next: dict[str, int] = {}

    def on_top(self, desk: Desk, top: TopOfBook) -> None:
        if desk.now < self._next.get(top.symbol, 0):
            return
        self._next[top.symbol] = desk.now + int(self.params.every_s * SECOND_NS)
        params, value = self.params, desk.market(top.symbol).line.lot_value
        middle, held = (top.bid + top.ask) / 2, desk.position(top.symbol)
        most = lots_for_weight(params.most, equity=desk.capital, price=top.ask, lot_value=value)
        size = lots_for_weight(params.size, equity=desk.capital, price=top.ask, lot_value=value)
        centre = middle * (1 - params.skew_bps / 1e4 * held / max(most, 1))
        away = middle * params.half_spread_bps / 1e4
        bid, ask = min(int(centre - away), top.bid), max(int(centre + away) + 1, top.ask)
        room = desk.room(top.symbol, price=top.ask)
        if room is not None:
            most, size = min(most, room.position), min(size, room.order)
        self._quote(desk, top.symbol, Side.BUY, bid, min(size, most - held))
        self._quote(desk, top.symbol, Side.SELL, ask, min(size, held))

    def _quote(self, desk: Desk, symbol: str, side: Side, price: int, lots: int) -> None:
        mine = [order for order in desk.open_orders(symbol) if order.side is side]
        for order in mine:
            if abs(order.price - price) >= self.params.requote_ticks:
                desk.cancel(order.client_id, "requote")
        if not mine and lots > 0:
            request = OrderRequest(
                symbol=symbol,
                side=side,
                lots=lots,
                price=price,
                order_type=OrderType.LIMIT_MAKER,
                tif=TimeInForce.GTC,
                decision={"why": "quote"},
            )
            desk.order(request)
