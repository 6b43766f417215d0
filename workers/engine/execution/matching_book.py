"""The displayed book of others, with a memory of what our orders have taken from it.

A replayed market does not react to our orders: what we take is still displayed afterwards. Each level therefore
remembers the lots already taken, and only what is displayed beyond them can be taken. The memory ends with the level.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from workers.engine.events import Level
from workers.engine.vocabulary import Side


class BookSide:
    """Levels of one side. Keys are ordered so that the best price is the last one: most changes happen there."""

    __slots__ = ("_keys", "_lots", "_sign", "_taken")

    def __init__(self, side: Side) -> None:
        self._sign = int(side)
        self._keys: list[int] = []
        self._lots: dict[int, int] = {}
        self._taken: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def clear(self) -> None:
        """Forget every level and all that was taken."""
        self._keys.clear()
        self._lots.clear()
        self._taken.clear()

    def load(self, levels: Iterable[Level]) -> None:
        """Replace all levels; what was taken at a price that is still displayed stays taken."""
        self._lots = {price: lots for price, lots in levels if lots > 0}
        self._keys = sorted(price * self._sign for price in self._lots)
        self._taken = {p: min(t, self._lots[p]) for p, t in self._taken.items() if p in self._lots}

    def set(self, price: int, lots: int) -> None:
        """Display ``lots`` at ``price``; zero deletes the level."""
        known = price in self._lots
        if lots <= 0:
            if known:
                self._delete(price)
            return
        if not known:
            insort(self._keys, price * self._sign)
        self._lots[price] = lots
        if self._taken and self._taken.get(price, 0) > lots:
            self._taken[price] = lots

    def set_best(self, price: int, lots: int) -> None:
        """Make ``price`` the best level: anything better is deleted."""
        key = price * self._sign
        while self._keys and self._keys[-1] > key:
            self._delete(self._keys[-1] * self._sign)
        self.set(price, lots)

    def _delete(self, price: int) -> None:
        del self._lots[price]
        self._taken.pop(price, None)
        del self._keys[bisect_left(self._keys, price * self._sign)]

    @property
    def best(self) -> int:
        """Best displayed price in ticks; 0 when the side is empty."""
        return self._keys[-1] * self._sign if self._keys else 0

    def displayed(self, price: int) -> int:
        """Lots shown at ``price``."""
        return self._lots.get(price, 0)

    def available(self, price: int) -> int:
        """Lots at ``price`` that our orders have not taken yet."""
        return self._lots.get(price, 0) - self._taken.get(price, 0)

    def take(self, price: int, lots: int) -> None:
        """Remember that ``lots`` at ``price`` are ours now; ValueError beyond what is available."""
        if not 0 < lots <= self.available(price):
            raise ValueError(f"expected 1..{self.available(price)} lots to take at {price}, was {lots}")
        self._taken[price] = self._taken.get(price, 0) + lots

    def walk(self, limit: int = 0) -> Iterator[Level]:
        """Available levels from the best on, up to ``limit`` ticks when it is given."""
        bound = limit * self._sign if limit else None
        for key in reversed(self._keys):
            if bound is not None and key < bound:
                return
            price = key * self._sign
            left = self._lots[price] - self._taken.get(price, 0)
            if left > 0:
                yield price, left

    def levels(self, count: int) -> list[Level]:
        """The best ``count`` displayed levels."""
        return [(key * self._sign, self._lots[key * self._sign]) for key in self._keys[: -count - 1 : -1]]
