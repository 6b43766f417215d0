"""A strategy for fault tests that is never idle: plain orders all the time, and parents of every algorithm in turn."""

from __future__ import annotations

from typing import Any, Final

from workers.engine.config import SECOND_NS
from workers.engine.desk import Desk
from workers.engine.events import TopOfBook
from workers.engine.execution.parent import ParentRequest
from workers.engine.execution.plan import take
from workers.engine.risk.gate import OrderRequest
from workers.engine.strategy import NotNegative, Params, PositiveInt, Strategy, register
from workers.engine.vocabulary import FeedState, Side

CURVE: Final[dict[str, Any]] = {"bin_ns": SECOND_NS, "weights": [3, 1, 2]}
RECIPES: Final[tuple[tuple[str, dict[str, Any], float], ...]] = (
    ("twap", {"slices": 6, "patience_s": 0.5, "jitter": 0.5}, 6.0),
    ("iceberg", {"display_lots": 0, "vary": 0.5, "reprice_s": 0.3, "style": "mixed", "patience_s": 0.5}, 0.0),
    ("vwap", {"curve": CURVE, "track": 0.5, "patience_s": 0.3}, 5.0),
    ("pov", {"rate": 0.3, "style": "take"}, 0.0),
    ("buckets", {"buckets": 5}, 5.0),
    ("adaptive", {"steps": 5, "patience_s": 0.3}, 5.0),
)
"""Algorithm, parameters, and seconds to its end; 0 for one that ends when it is filled."""
ROUTED: Final = (
    ("sweep", {}, 4.0),
    *RECIPES,
    ("twap", {"slices": 6, "style": "take"}, 4.0),
)


class WorkingParams(Params, frozen=True):
    """``parents`` at a time and instrument, each worth ``notional`` in quote; an order on every ``every``-th quote.

    With ``route`` two of three parents are routed over all venues of the pair.
    """

    parents: PositiveInt = 2
    notional: NotNegative = 300.0
    every: PositiveInt = 10
    route: bool = False


@register("working", WorkingParams)
class Working(Strategy[WorkingParams]):
    """Buys until it holds ten times ``notional`` of an instrument, then sells, and so on."""

    def __init__(self, params: WorkingParams) -> None:
        super().__init__(params)
        self.quotes = 0

    def on_top(self, desk: Desk, top: TopOfBook) -> None:
        self.quotes += 1
        if self.quotes % self.params.every or desk.market(top.symbol).feed is not FeedState.LIVE:
            return
        side, lots = self._next(desk, top.symbol, 20.0)
        if lots:
            placed = take(side, bid=top.bid, ask=top.ask, offset_ticks=5)
            kind, tif = placed.order_type, placed.tif
            desk.order(
                OrderRequest(symbol=top.symbol, side=side, lots=lots, price=placed.price, order_type=kind, tif=tif)
            )

    def on_timer(self, desk: Desk) -> None:
        for symbol in desk.traded:
            working = sum(parent.symbol == symbol for parent in desk.books.working.values())
            if working < self.params.parents and desk.market(symbol).feed is FeedState.LIVE:
                self._start(desk, symbol)

    def _start(self, desk: Desk, symbol: str) -> None:
        number = len(desk.books.parents)
        route = self.params.route and number % 3 != 0
        recipes = ROUTED if route else RECIPES
        algorithm, params, seconds = recipes[number % len(recipes)]
        side, lots = self._next(desk, symbol, self.params.notional, route=route)
        if not lots:
            return
        if "display_lots" in params:
            params = {**params, "display_lots": max(lots // 4, 1)}
        end = desk.now + int(seconds * SECOND_NS) if seconds else 0
        desk.execute(
            ParentRequest(
                symbol=symbol,
                side=side,
                lots=lots,
                algorithm=algorithm,
                params=params,
                end=end,
                seed=number,
                route=route,
            )
        )

    def _next(self, desk: Desk, symbol: str, notional: float, *, route: bool = False) -> tuple[Side, int]:
        """The side that keeps the position in bounds, and lots worth ``notional``; no lots without a price.

        The position is that of ``symbol`` alone, or of all venues with ``route``.
        """
        instrument, market, held = desk.instrument(symbol), desk.market(symbol), desk.position(symbol)
        if route:
            atoms = sum(line.position for line in desk.books.lines.values() if line.instrument.base == instrument.base)
            held = atoms // desk.books.lines[symbol].lot_atoms
        if not market.bid:
            return Side.BUY, 0
        one = float(instrument.price(market.bid) * instrument.lot)
        lots = max(int(notional / one), instrument.min_lots)
        number = len(desk.books.parents) + self.quotes // self.params.every
        side = Side.BUY if held * one < 10 * self.params.notional * (number % 3) else Side.SELL
        return side, lots if side is Side.BUY or lots * 2 <= held else 0
