"""Buy what has fallen far below the average of its last closes; sell when it is back near it."""

from __future__ import annotations

from collections import deque

from workers.engine.desk import Desk
from workers.engine.events import Bar
from workers.engine.strategy import Fraction, NotNegative, Params, PositiveInt, Strategy, aim, register


class MeanReversionParams(Params, frozen=True):
    """``window`` in bars; ``entry`` and ``leave`` in standard deviations below the average; ``fraction`` of equity."""

    window: PositiveInt = 60
    entry: NotNegative = 2.0
    leave: NotNegative = 0.0
    fraction: Fraction = 0.2


@register("mean_reversion", MeanReversionParams)
class MeanReversion(Strategy[MeanReversionParams]):
    """Long or flat; waits for ``window`` bars, and does nothing while the prices do not move."""

    def __init__(self, params: MeanReversionParams) -> None:
        super().__init__(params)
        self._closes: dict[str, deque[int]] = {}

    def on_warm(self, bar: Bar) -> None:
        self._closes.setdefault(bar.symbol, deque(maxlen=self.params.window)).append(bar.close)

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        self.on_warm(bar)
        closes = self._closes[bar.symbol]
        if len(closes) < self.params.window or desk.busy(bar.symbol):
            return
        mean = sum(closes) / len(closes)
        deviation = (sum((close - mean) ** 2 for close in closes) / len(closes)) ** 0.5
        distance = (mean - bar.close) / deviation if deviation else 0.0
        held = desk.position(bar.symbol) > 0
        if not held and deviation and distance >= self.params.entry:
            aim(desk, bar.symbol, self.params.fraction, why="far below the average", distance=distance)
        elif held and distance <= self.params.leave:
            aim(desk, bar.symbol, 0.0, why="back at the average", distance=distance)
