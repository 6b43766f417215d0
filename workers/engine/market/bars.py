"""Bars on event time, from trades. Pure and exact.

* A bar covers ``[start, start + interval)`` by the venue's clock, and closes when event time reaches its end plus
  ``grace_ns``; a trade inside the grace still counts, a later one is refused and counted in ``late``.
* The series has no hole: an interval without trades gives a bar with ``trades=0`` and ``volume=0``, flat at the mid
  price where the caller has one, else at the last close.
* The interval in which the feed began is left out, since its first part was not seen.
* After more than ``MAX_FILL`` intervals of silence the series starts again instead of being made up.
"""

from __future__ import annotations

from typing import Final

from workers.engine.events import Bar, Trade

MAX_FILL: Final = 3600


class BarBuilder:
    """Builds the bars of one instrument; the newest interval may be open together with its successor in the grace."""

    def __init__(self, symbol: str, interval_ns: int, grace_ns: int = 0) -> None:
        if interval_ns <= 0 or not 0 <= grace_ns < interval_ns:
            raise ValueError(f"expected interval > grace >= 0, was {interval_ns} and {grace_ns} ns ({symbol})")
        self.symbol = symbol
        self.interval_ns = interval_ns
        self.grace_ns = grace_ns
        self.late = 0
        self.partial = 0
        """Trades left out because they fell into the interval in which the feed began."""
        self.last_close = 0
        self._start = 0
        """Start of the oldest open bar, 0 before the first."""
        self._first = 0
        """Start of the first bar of the series."""
        self._open: dict[int, list[int]] = {}
        """start -> open, high, low, close, volume, trades; at most two entries."""

    def reset(self) -> None:
        """Throw the open bars away and start a new series, as at a session break."""
        self._start = 0
        self._open.clear()
        self.last_close = 0

    def add(self, trade: Trade) -> list[Bar]:
        """Take a trade; returns the bars that it closed, oldest first."""
        event_ns = trade.ts_event
        closed = self.advance(event_ns, trade.ts_recv)
        start = event_ns - event_ns % self.interval_ns
        if start < self._start:
            if start < self._first:
                self.partial += 1
            else:
                self.late += 1
            return closed
        bar = self._open.get(start)
        price, lots = trade.price, trade.lots
        if bar is None:
            self._open[start] = [price, price, price, price, lots, 1]
        else:
            _extend(bar, price, lots)
        return closed

    def advance(self, event_ns: int, ts_recv: int, mid: int = 0) -> list[Bar]:
        """Event time reached ``event_ns``: close what is over, at ``mid`` ticks (0 for none) if nothing traded."""
        if not self._start:
            self._begin(event_ns)
            return []
        end = self._start + self.interval_ns
        if event_ns < end + self.grace_ns:
            return []
        if event_ns - end > MAX_FILL * self.interval_ns:
            self.reset()
            self._begin(event_ns)
            return []
        closed: list[Bar] = []
        while event_ns >= self._start + self.interval_ns + self.grace_ns:
            bar = self._close(ts_recv, mid)
            if bar is not None:
                closed.append(bar)
        return closed

    def _begin(self, event_ns: int) -> None:
        """The first bar starts at the first boundary at or after ``event_ns``."""
        self._start = self._first = event_ns + -event_ns % self.interval_ns

    def _close(self, ts_recv: int, mid: int) -> Bar | None:
        """Close the oldest open bar; None when there is no price for it yet."""
        start = self._start
        self._start = start + self.interval_ns
        values = self._open.pop(start, None)
        if values is None:
            price = mid or self.last_close
            if not price:
                return None
            values = [price, price, price, price, 0, 0]
        self.last_close = values[3]
        return Bar(
            symbol=self.symbol,
            ts_event=self._start,
            ts_recv=ts_recv,
            start=start,
            interval_ns=self.interval_ns,
            open=values[0],
            high=values[1],
            low=values[2],
            close=values[3],
            volume=values[4],
            trades=values[5],
        )


def _extend(bar: list[int], price: int, lots: int) -> None:
    if price > bar[1]:
        bar[1] = price
    elif price < bar[2]:
        bar[2] = price
    bar[3] = price
    bar[4] += lots
    bar[5] += 1
