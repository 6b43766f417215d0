"""Hold what the forecasts favour: long or flat on each instrument, sized by a volatility target.

Acts on the newest fresh forecast of each instrument and holds without one, or when the forecast is in doubt: it enters
on a confident rise above ``min_edge_bps``, and leaves on a confident fall, not before ``min_hold_s``. Each order is
bounded in price and carries the signal that it came from. Before a session closes everything is sold.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from workers.engine.config import SECOND_NS
from workers.engine.desk import Desk
from workers.engine.events import Forecast, TopOfBook
from workers.engine.execution.plan import Placement, rest, take
from workers.engine.market_state import MarketState
from workers.engine.portfolio.plan import trade_to_target
from workers.engine.portfolio.sizing import Signal, lots_for_weight, signal_of, target_weight
from workers.engine.risk.gate import OrderRequest
from workers.engine.risk.limits import Limits
from workers.engine.strategy import Fraction, NotNegative, Params, PositiveInt, Strategy, register
from workers.engine.vocabulary import FeedState, Side


class ForecastPortfolioParams(Params, frozen=True):
    """``input_size`` must be the model's. Volatility is annual, weights are fractions of equity, ``band`` is relative.

    ``min_edge_bps`` is not raised to the cost of trading by default: on paper the loop is to be seen at work.
    """

    input_size: PositiveInt = 64
    target_volatility: NotNegative = 0.20
    kelly_fraction: Fraction = 0.5
    max_weight: Fraction = 0.05
    min_confidence: Fraction = 0.52
    exit_confidence: Fraction = 0.52
    min_edge_bps: NotNegative = 0.0
    band: NotNegative = 0.25
    style: Literal["take", "rest"] = "take"
    offset_ticks: Annotated[int, msgspec.Meta(ge=0)] = 1
    reprice_after_s: NotNegative = 5.0
    min_order_interval_s: NotNegative = 2.0
    min_hold_s: NotNegative = 0.0
    flatten_before_s: NotNegative = 20.0


@register("forecast_portfolio", ForecastPortfolioParams)
class ForecastPortfolio(Strategy[ForecastPortfolioParams]):
    """Looks at an instrument when its forecast arrives and now and then while its book moves; orders at intervals."""

    def __init__(self, params: ForecastPortfolioParams) -> None:
        super().__init__(params)
        self._next_look: dict[str, int] = {}
        self._next_order: dict[str, int] = {}
        self._hold_until: dict[str, int] = {}
        self._interval = int(params.min_order_interval_s * SECOND_NS)

    @property
    def lookback(self) -> int:
        return self.params.input_size

    def on_forecast(self, desk: Desk, forecast: Forecast) -> None:
        self._look(desk, desk.market(forecast.symbol))

    def on_top(self, desk: Desk, top: TopOfBook) -> None:
        if desk.now >= self._next_look.get(top.symbol, 0):
            self._look(desk, desk.market(top.symbol))

    def on_timer(self, desk: Desk) -> None:
        for symbol in desk.traded:
            if desk.now >= self._next_look.get(symbol, 0):
                self._look(desk, desk.market(symbol))

    def _look(self, desk: Desk, market: MarketState) -> None:
        if market.feed is not FeedState.LIVE or not market.bid or not market.ask or desk.limits is None:
            return
        if desk.busy(market.symbol):
            self._reprice(desk, market)
            return
        self._next_look[market.symbol] = desk.now + self._interval
        if desk.now < self._next_order.get(market.symbol, 0):
            return
        if self._closing(desk, market):
            self._go_to(desk, market, 0, forecast=None, decision={"why": "session closes"})
            return
        forecast = desk.fresh_forecast(market.symbol)
        if forecast is not None:
            self._follow(desk, market, desk.limits, forecast)

    def _closing(self, desk: Desk, market: MarketState) -> bool:
        return 0 < market.closes_at <= desk.now + int(self.params.flatten_before_s * SECOND_NS)

    def _follow(self, desk: Desk, market: MarketState, limits: Limits, forecast: Forecast) -> None:
        params, signal = self.params, signal_of(forecast)
        if signal.mu > 0.0 and signal.mu * 1e4 >= params.min_edge_bps and signal.confidence >= params.min_confidence:
            target, weight = self._target(desk, market, limits, signal)
        elif signal.mu < 0.0 and signal.confidence >= params.exit_confidence:
            target, weight = 0, 0.0
        else:
            return
        if target < desk.position(market.symbol) and desk.now < self._hold_until.get(market.symbol, 0):
            return
        decision = {
            "why": "forecast",
            "mu": signal.mu,
            "sigma": signal.sigma,
            "confidence": signal.confidence,
            "weight": weight,
            "target_lots": target,
        }
        self._go_to(desk, market, target, forecast=forecast, decision=decision)

    def _target(self, desk: Desk, market: MarketState, limits: Limits, signal: Signal) -> tuple[int, float]:
        line, parts, price = market.line, max(len(desk.traded), 1), market.ask + self.params.offset_ticks
        weight = target_weight(
            signal,
            target_volatility=self.params.target_volatility,
            kelly_fraction=self.params.kelly_fraction,
            min_confidence=self.params.min_confidence,
            cap=min(float(limits.target_gross_fraction) / parts, self.params.max_weight),
        )
        lots = lots_for_weight(weight, equity=desk.capital, price=price, lot_value=line.lot_value)
        room = desk.room(line.symbol, price=price, parts=parts)
        return min(lots, room.position) if room is not None else 0, weight

    def _go_to(
        self, desk: Desk, market: MarketState, target: int, *, forecast: Forecast | None, decision: dict[str, Any]
    ) -> None:
        room = desk.room(market.symbol, price=market.ask + self.params.offset_ticks)
        lots = trade_to_target(
            desk.position(market.symbol),
            target,
            price=market.bid,
            instrument=market.line.instrument,
            band=self.params.band,
            max_lots=room.order if room is not None else 0,
        )
        if lots == 0:
            return
        self._next_order[market.symbol] = desk.now + self._interval
        if lots > 0:
            self._hold_until[market.symbol] = desk.now + int(self.params.min_hold_s * SECOND_NS)
        side = Side.BUY if lots > 0 else Side.SELL
        placed = self._place(market, side, urgent=forecast is None)
        desk.order(
            OrderRequest(
                symbol=market.symbol,
                side=side,
                lots=abs(lots),
                price=placed.price,
                order_type=placed.order_type,
                tif=placed.tif,
                reduce_only=side is Side.SELL,
                forecast=forecast,
                decision=decision,
            )
        )

    def _place(self, market: MarketState, side: Side, *, urgent: bool) -> Placement:
        if self.params.style == "take" or urgent:
            return take(side, bid=market.bid, ask=market.ask, offset_ticks=self.params.offset_ticks)
        return rest(side, bid=market.bid, ask=market.ask)

    def _reprice(self, desk: Desk, market: MarketState) -> None:
        """Take a resting order off when it is old, or when the session is about to close; the next look replaces it."""
        patience = int(self.params.reprice_after_s * SECOND_NS)
        for order in list(desk.open_orders(market.symbol)):
            if desk.now - order.created >= patience or self._closing(desk, market):
                desk.cancel(order.client_id, "reprice")
