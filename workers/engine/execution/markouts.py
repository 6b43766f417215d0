"""Where the market went after our fills: mark-outs, per parent. Part of the books, so that a restart loses none; pure.

A mark-out is ``sign * (middle after - price of the fill)``: above 0 the fill was good to have, far below 0 somebody
knew more than we did. Each look at the market is journalled (``FillsMarked``). A worker that starts again goes on with
the looks that are still to come; those that fell into its absence were not seen by anybody and are not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from workers.engine import events as e
from workers.engine.config import SECOND_NS
from workers.engine.execution.tca import MARKOUTS_S
from workers.engine.vocabulary import FeedState

if TYPE_CHECKING:
    from workers.engine.execution.parent import Parent
    from workers.engine.market_state import MarketState

LATE_NS: Final = SECOND_NS
"""A look that comes later than this after its time is none; nor is a fill's own time that far before ours the same."""


class Unit(NamedTuple):
    """What a lot of the fill's instrument is in the parent's: ``lots`` of them, and worth ``value`` times as much."""

    lots: int = 1
    value: Fraction = Fraction(1)


SAME: Final = Unit()


class Fill(msgspec.Struct, frozen=True, gc=False):
    """A fill to look at the market after. ``units`` lots of the parent in one of its own, worth ``worth`` of them."""

    since: int
    symbol: str
    sign: int
    price: int
    lots: int
    units: int
    worth: tuple[int, int]

    def gain(self, reference: int) -> int:
        """Ticks x lots of the parent's instrument that the fill has gained at ``reference``, rounded towards zero."""
        return int(self.sign * (reference - self.price) * self.lots * Fraction(*self.worth))


class Looks(msgspec.Struct):
    """One parent's. ``fills`` are those with looks to come, ``behind`` how many were before them.

    ``looked`` counts, by seconds, the fills that are done with; ``sums`` are (ticks x lots gained, lots looked at).
    """

    over: bool = False
    behind: int = 0
    fills: list[Fill] = []
    looked: dict[str, int] = {}
    sums: dict[str, tuple[int, int]] = {}

    def next(self, seconds: int) -> Iterator[Fill]:
        """Fills that are still to be looked at so many seconds later, oldest first."""
        return iter(self.fills[self.looked.get(str(seconds), 0) - self.behind :])

    def take(self, seconds: str, fills: int, gain: int, lots: int) -> None:
        """``fills`` more are done with, of which ``lots`` had a price."""
        self.looked[seconds] = self.looked.get(seconds, 0) + fills
        if lots:
            known = self.sums.get(seconds, (0, 0))
            self.sums[seconds] = known[0] + gain, known[1] + lots
        done = min(self.looked.get(str(one), 0) for one in MARKOUTS_S) - self.behind
        if done:
            del self.fills[:done]
            self.behind += done


class Markouts:
    """``waiting`` holds what is still to be looked at or handed over, by parent. Changes by journal events alone."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: dict[str, Looks] = {}

    def snapshot(self) -> dict[str, Any]:
        """Plain values in a fixed order."""
        return {parent_id: msgspec.to_builtins(looks) for parent_id, looks in sorted(self.waiting.items())}

    # -- changing

    def on_fill(self, parent: Parent, fill: e.OrderFilled, unit: Unit) -> None:
        """A child was filled. One that was found out late counts from the venue's time."""
        if parent.measured:
            return
        looks = self.waiting.setdefault(parent.parent_id, Looks())
        looks.over = not parent.status.is_live
        adopted = fill.ts - fill.ts_event > LATE_NS
        looks.fills.append(
            Fill(
                since=fill.ts_event if adopted else fill.ts,
                symbol=fill.symbol,
                sign=int(fill.side),
                price=fill.price,
                lots=fill.lots,
                units=unit.lots,
                worth=unit.value.as_integer_ratio(),
            )
        )

    def on_marked(self, event: e.FillsMarked) -> None:
        """The market was looked at."""
        looks = self.waiting.get(event.parent_id)
        if looks is not None:
            for seconds, (fills, gain, lots) in event.looks.items():
                looks.take(seconds, fills, gain, lots)
            self._settle(event.parent_id, looks)

    def on_session(self, ts: int) -> None:
        """Nobody looked until ``ts``: what was due before is over."""
        for parent_id, looks in list(self.waiting.items()):
            for seconds in MARKOUTS_S:
                missed = 0
                for fill in looks.next(seconds):
                    if fill.since + seconds * SECOND_NS + LATE_NS >= ts:
                        break
                    missed += 1
                looks.take(str(seconds), missed, 0, 0)
            self._settle(parent_id, looks)

    def on_ended(self, parent_id: str) -> None:
        """The parent is over."""
        looks = self.waiting.get(parent_id)
        if looks is not None:
            looks.over = True
            self._settle(parent_id, looks)

    def on_measured(self, parent_id: str) -> None:
        """Its sums were handed over."""
        self.waiting.pop(parent_id, None)

    def _settle(self, parent_id: str, looks: Looks) -> None:
        """Forget a parent that is over and of which nothing was seen."""
        if looks.over and not looks.fills and not looks.sums:
            del self.waiting[parent_id]

    # -- looking

    def due(self, now: int, markets: Mapping[str, MarketState]) -> list[e.FillsMarked]:
        """What the looks that are due make; a market that is not seen at its moment is waited for, and not for long."""
        found = []
        for parent_id, looks in self.waiting.items():
            seen = {str(s): look for s in MARKOUTS_S if (look := _look(looks.next(s), s, now, markets))[0]}
            if seen:
                found.append(e.FillsMarked(ts=now, parent_id=parent_id, looks=seen))
        return found

    def done(self) -> list[tuple[str, dict[str, tuple[int, int]]]]:
        """Parents that are over and have no look to come, with (ticks x lots gained, lots looked at) by seconds."""
        return [(name, dict(looks.sums)) for name, looks in self.waiting.items() if looks.over and not looks.fills]


def _look(fills: Iterator[Fill], seconds: int, now: int, markets: Mapping[str, MarketState]) -> tuple[int, int, int]:
    """(fills that are done with, ticks x lots gained, lots looked at)."""
    done = gain = lots = 0
    for fill in fills:
        at, market = fill.since + seconds * SECOND_NS, markets[fill.symbol]
        late = now - at > LATE_NS
        seen = market.feed is FeedState.LIVE and market.reference > 0
        if at > now or not (seen or late):
            break
        done += 1
        if not late:
            gain += fill.gain(market.reference)
            lots += fill.lots * fill.units
    return done, gain, lots
