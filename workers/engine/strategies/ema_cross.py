"""Two exponential averages of the close: long while the fast one is above the slow one, else flat."""

from __future__ import annotations

from workers.engine.desk import Desk
from workers.engine.events import Bar
from workers.engine.portfolio.move import move_to
from workers.engine.portfolio.sizing import lots_for_weight
from workers.engine.strategy import Fraction, Params, PositiveInt, Strategy, register


class EmaCrossParams(Params, frozen=True):
    """Lengths in bars; ``fraction`` of equity to hold per instrument when long."""

    fast: PositiveInt = 10
    slow: PositiveInt = 20
    fraction: Fraction = 0.25


@register("ema_cross", EmaCrossParams)
class EmaCross(Strategy[EmaCrossParams]):
    """Averages start at the first close and count from the first bar on; no order before ``slow`` bars."""

    def __init__(self, params: EmaCrossParams) -> None:
        super().__init__(params)
        self._fast_weight = 2.0 / (params.fast + 1)
        self._slow_weight = 2.0 / (params.slow + 1)
        self._averages: dict[str, list[float]] = {}
        """Fast average, slow average and number of bars by symbol."""

    def on_warm(self, bar: Bar) -> None:
        self._update(bar)

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        fast, slow, count = self._update(bar)
        line = desk.markets[bar.symbol].line
        held = line.position >= line.lot_atoms
        if (fast > slow) is held or count < self.params.slow or line.open:
            return
        if held:
            move_to(desk, bar.symbol, 0)
        elif fast > slow:
            fraction = self.params.fraction
            lots = lots_for_weight(fraction, equity=desk.capital, price=bar.close, lot_value=line.lot_value)
            move_to(desk, bar.symbol, lots)

    def _update(self, bar: Bar) -> list[float]:
        close = float(bar.close)
        state = self._averages.get(bar.symbol)
        if state is None:
            self._averages[bar.symbol] = state = [close, close, 1]
            return state
        state[0] += (close - state[0]) * self._fast_weight
        state[1] += (close - state[1]) * self._slow_weight
        state[2] += 1
        return state
