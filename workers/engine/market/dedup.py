"""Which trades were seen before, over reconnects, replays and polling beside a stream. Pure.

The key is ``(venue, instrument, trade id)``: ids count per instrument at most venues and are unique nowhere else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from workers.engine.events import Trade

Key = tuple[str, str, int]


class SeenTrades:
    """Remembers the newest ``capacity`` ids, the least recently seen going first."""

    __slots__ = ("_capacity", "_seen", "duplicates", "venue")

    def __init__(self, venue: str, capacity: int = 16_384) -> None:
        if capacity < 1:
            raise ValueError(f"expected room for at least one trade id, was {capacity} ({venue})")
        self.venue = venue
        self._capacity = capacity
        self._seen: OrderedDict[Key, None] = OrderedDict()
        self.duplicates = 0

    def __len__(self) -> int:
        return len(self._seen)

    def first(self, symbol: str, trade_id: int) -> bool:
        """True when this id was not seen; it is from now on."""
        key = (self.venue, symbol, trade_id)
        if key in self._seen:
            self._seen.move_to_end(key)
            self.duplicates += 1
            return False
        self._seen[key] = None
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return True

    def fresh(self, trades: Iterable[Trade]) -> list[Trade]:
        """Those not seen before, by id: a venue may list the newest first."""
        ordered = sorted(trades, key=lambda trade: trade.trade_id)
        return [trade for trade in ordered if self.first(trade.symbol, trade.trade_id)]
