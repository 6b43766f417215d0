"""Price-level order book in integers. Pure.

Each side is a dictionary of lots by price beside a sorted list of its prices, best price last: an update of a known
level is one dictionary write, the best price is one index, and an insertion or deletion near the top of the book
moves few list items.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from workers.engine.events import BookDelta, BookSnapshot, Level
from workers.engine.vocabulary import Side


class BookError(ValueError):
    """A level that no book can hold: a price that is not positive, or a negative quantity."""


class BookSide:
    """One side of a book; ``BUY`` holds bids, ``SELL`` asks."""

    __slots__ = ("_keys", "_sign", "lots")

    def __init__(self, side: Side) -> None:
        self.lots: dict[int, int] = {}
        self._sign = int(side)
        self._keys: list[int] = []
        """``sign * price`` in ascending order: the best bid and the best ask both come last."""

    def __len__(self) -> int:
        return len(self._keys)

    def clear(self) -> None:
        """Forget every level."""
        self.lots.clear()
        self._keys.clear()

    def replace(self, levels: Iterable[Level]) -> None:
        """Hold ``levels`` and nothing else; levels of zero lots are left out. Raises BookError."""
        self.clear()
        for price, quantity in levels:
            _check(price, quantity)
            if quantity:
                self.lots[price] = quantity
        self._keys.extend(sorted(self._sign * price for price in self.lots))

    def apply(self, levels: Iterable[Level]) -> None:
        """Set each level to its new lots, zero deletes it; an unknown level may be deleted. Raises BookError."""
        lots, keys, sign = self.lots, self._keys, self._sign
        for price, quantity in levels:
            if quantity > 0:
                if price not in lots:
                    _check(price, quantity)
                    insort(keys, sign * price)
                lots[price] = quantity
            elif quantity < 0:
                _check(price, quantity)
            elif lots.pop(price, 0):
                del keys[bisect_left(keys, sign * price)]

    def best(self) -> int:
        """Best price in ticks, 0 when the side is empty."""
        return self._sign * self._keys[-1] if self._keys else 0

    def top(self, count: int) -> list[Level]:
        """At most ``count`` levels, best first."""
        sign, lots = self._sign, self.lots
        return [(sign * key, lots[sign * key]) for key in self._keys[: -count - 1 : -1]]

    def total_lots(self) -> int:
        """Lots resting on this side."""
        return sum(self.lots.values())


class OrderBook:
    """Both sides of one instrument, and the exchange's id of the last update they contain."""

    __slots__ = ("asks", "bids", "last_id")

    def __init__(self) -> None:
        self.bids = BookSide(Side.BUY)
        self.asks = BookSide(Side.SELL)
        self.last_id = 0

    def clear(self) -> None:
        """Empty book, as before the first snapshot."""
        self.bids.clear()
        self.asks.clear()
        self.last_id = 0

    def load(self, snapshot: BookSnapshot) -> None:
        """Replace everything by ``snapshot``. Raises BookError, after which the book must be loaded again."""
        self.bids.replace(snapshot.bids)
        self.asks.replace(snapshot.asks)
        self.last_id = snapshot.last_id

    def apply(self, delta: BookDelta) -> None:
        """Apply ``delta``; its place in the sequence is the caller's business (see ``sync``).

        Raises BookError, after which the book must be loaded again.
        """
        if delta.bids:
            self.bids.apply(delta.bids)
        if delta.asks:
            self.asks.apply(delta.asks)
        self.last_id = delta.last_id

    @property
    def crossed(self) -> bool:
        """True when the best bid is at or above the best ask (crossed or locked)."""
        bid, ask = self.bids.best(), self.asks.best()
        return bid >= ask and bid > 0 and ask > 0


def _check(price: int, quantity: int) -> None:
    if price <= 0:
        raise BookError(f"expected positive price, was {price} ticks")
    if quantity < 0:
        raise BookError(f"expected quantity of zero or more, was {quantity} lots at {price} ticks")
