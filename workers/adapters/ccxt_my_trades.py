"""From where on an account's trades must be read, by what was told before. Times are ms since 1970."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from workers.adapters.ccxt_pages import DAY_MS
from workers.adapters.fill_numbers import HASH_BITS
from workers.adapters.venue import VenueTrade, VenueUnknown

MS: Final = 1_000_000
WEEK: Final = 7
QUARTER: Final = 90
DEPTHS_DAYS: Final = (WEEK, 30, QUARTER)
LATE_MS: Final = 300_000
"""How late a venue may list a trade, and how far its clock may be behind ours."""
KEPT: Final = 10_000


class SeenMyTrades:
    """When the trades of each symbol were that a venue told: a caller names one, and wants what came after it."""

    def __init__(self) -> None:
        self._times: dict[str, dict[int, int]] = {}
        self._quiet: dict[str, tuple[int, int]] = {}
        """Number after which there was nothing, and until when."""
        self._asked: dict[str, tuple[int, int]] = {}
        """Time of the last reading, and from when on it was."""

    def starts(self, symbol: str, after: int, now: int) -> tuple[int, ...]:
        """Times to begin reading at, one after the other until the trade ``after`` is shown."""
        told, week = self._times.get(symbol, {}).get(after), now - WEEK * DAY_MS
        number, until = self._quiet.get(symbol, (-1, 0))
        if told is None and number != after and after:
            starts = tuple(now - days * DAY_MS for days in DEPTHS_DAYS)
        else:
            starts = (max(until if number == after else 0, week if told is None else told - 1),)
        self._asked[symbol] = now, starts[-1]
        return starts

    def above(self, symbol: str, after: int, found: Mapping[int, VenueTrade]) -> list[VenueTrade]:
        """Those of a complete reading that came after ``after``, oldest first; VenueUnknown where it lacks that."""
        times, (now, since) = self._times.setdefault(symbol, {}), self._asked[symbol]
        shown = after not in times or after in found
        if not shown and since < times[after] and now - times[after] < DAY_MS // 2:
            raise VenueUnknown(f"trade {after} in {symbol} was told before and is not shown any more")
        times.update({number: one.ts_event // MS for number, one in found.items()})
        for number in sorted(times)[:-KEPT]:
            del times[number]
        newer = [one for number, one in sorted(found.items()) if number > after or _same_ms(number, after)]
        if not newer:
            self._quiet[symbol] = (after, now - LATE_MS)
        return newer


def _same_ms(number: int, after: int) -> bool:
    """Numbers made of names do not grow within a millisecond."""
    return number != after and after >> 2 * HASH_BITS > 0 and number >> HASH_BITS == after >> HASH_BITS
