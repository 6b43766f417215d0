"""Where the market went after our fills: mark-outs, per parent. Gone with the process; pure.

A mark-out is ``sign * (middle after - price of the fill)``: above 0 the fill was good to have, far below 0 somebody
knew more than we did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from fractions import Fraction
from typing import Final, NamedTuple

from workers.engine.config import SECOND_NS
from workers.engine.events import OrderFilled
from workers.engine.execution.tca import MARKOUTS_S
from workers.engine.market_state import MarketState
from workers.engine.vocabulary import FeedState


class Unit(NamedTuple):
    """What a lot of the fill's instrument is in the parent's: ``lots`` of them, and worth ``value`` times as much."""

    lots: int = 1
    value: Fraction = Fraction(1)


SAME: Final = Unit()


class _Due(NamedTuple):
    at: int
    parent_id: str
    fill: OrderFilled
    unit: Unit


class Markouts:
    """``pending`` counts looks that are still to come; ``done`` hands over a parent's sums when it has none left."""

    def __init__(self) -> None:
        self.pending = 0
        self._due: dict[int, deque[_Due]] = {seconds: deque() for seconds in MARKOUTS_S}
        self._open: dict[str, int] = {}
        self._sums: dict[str, dict[str, tuple[int, int]]] = {}

    def on_fill(self, parent_id: str, fill: OrderFilled, now: int, unit: Unit = SAME) -> None:
        """Remember to look at the market after this fill; ``unit`` where it was not in the parent's own instrument."""
        for seconds, queue in self._due.items():
            queue.append(_Due(now + seconds * SECOND_NS, parent_id, fill, unit))
        self.pending += len(self._due)
        self._open[parent_id] = self._open.get(parent_id, 0) + len(self._due)
        self._sums.setdefault(parent_id, {})

    def on_time(self, now: int, markets: Mapping[str, MarketState]) -> None:
        """Look at what is due; a market that is not seen at that moment is not counted."""
        for seconds, queue in self._due.items():
            while queue and queue[0].at <= now:
                due = queue.popleft()
                self.pending -= 1
                self._open[due.parent_id] -= 1
                market = markets[due.fill.symbol]
                late = now - due.at > SECOND_NS
                if market.feed is FeedState.LIVE and market.reference and not late:
                    self._count(due, seconds, market.reference)

    def _count(self, due: _Due, seconds: int, reference: int) -> None:
        fill, sums = due.fill, self._sums[due.parent_id]
        gain, lots = sums.get(str(seconds), (0, 0))
        found = int(int(fill.side) * (reference - fill.price) * fill.lots * due.unit.value)
        sums[str(seconds)] = (gain + found, lots + fill.lots * due.unit.lots)

    def done(self, parent_id: str) -> dict[str, tuple[int, int]] | None:
        """(ticks x lots gained, lots looked at) by seconds, once nothing is left to look at; None until then."""
        if self._open.get(parent_id, 1):
            return None
        del self._open[parent_id]
        return self._sums.pop(parent_id)

    def has(self, parent_id: str) -> bool:
        """True when fills of this parent were or are to be looked at."""
        return parent_id in self._open
