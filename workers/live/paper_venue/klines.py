"""Candlesticks built from the venue's own trades, per instrument and interval."""

from __future__ import annotations

from collections import deque

import msgspec

INTERVALS_MS = {
    "1s": 1_000,
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "1d": 86_400_000,
}
_KEEP = 10_000


class Kline(msgspec.Struct):
    """One candlestick: times in ms, prices in ticks, volumes in lots, ``money`` in money units."""

    start: int
    open: int
    high: int
    low: int
    close: int
    lots: int = 0
    money: int = 0
    trades: int = 0
    taker_lots: int = 0
    taker_money: int = 0
    first_trade: int = -1
    last_trade: int = -1


class Print(msgspec.Struct, gc=False):
    """One trade: time in ms, price in ticks, quantity in lots, ``money`` in money units."""

    ms: int
    trade_id: int
    price: int
    lots: int
    money: int
    buyer_maker: bool


class Series:
    """Candlesticks of one interval, oldest first, with the empty intervals filled by flat ones."""

    def __init__(self, interval_ms: int) -> None:
        self.interval_ms = interval_ms
        self._bars: deque[Kline] = deque(maxlen=_KEEP)

    def add(self, trade: Print) -> None:
        """Count a trade."""
        ms, price = trade.ms, trade.price
        bar = self.advance(ms)
        if bar is None:
            bar = Kline(ms - ms % self.interval_ms, price, price, price, price)
            self._bars.append(bar)
        if not bar.trades:
            bar.open = bar.high = bar.low = price
            bar.first_trade = trade.trade_id
        bar.high = max(bar.high, price)
        bar.low = min(bar.low, price)
        bar.close = price
        bar.lots += trade.lots
        bar.money += trade.money
        bar.trades += 1
        bar.last_trade = trade.trade_id
        if not trade.buyer_maker:
            bar.taker_lots += trade.lots
            bar.taker_money += trade.money

    def advance(self, ms: int) -> Kline | None:
        """Fill up to the interval of ``ms`` and return its bar; None while nothing was traded yet."""
        if not self._bars:
            return None
        start = ms - ms % self.interval_ms
        last = self._bars[-1]
        first_missing = max(last.start + self.interval_ms, start - self.interval_ms * (_KEEP - 1))
        for at in range(first_missing, start + 1, self.interval_ms):
            self._bars.append(Kline(at, last.close, last.close, last.close, last.close))
        return self._bars[-1]

    def window(self, start_ms: int | None, end_ms: int | None, limit: int) -> list[Kline]:
        """Up to ``limit`` bars: the first ones from ``start_ms`` on, or the last ones before ``end_ms``."""
        bars = [
            b for b in self._bars if (start_ms is None or b.start >= start_ms) and (end_ms is None or b.start <= end_ms)
        ]
        return bars[:limit] if start_ms is not None else bars[-limit:]

    def at(self, start_ms: int) -> Kline | None:
        """The bar that starts at ``start_ms``."""
        for bar in reversed(self._bars):
            if bar.start <= start_ms:
                return bar if bar.start == start_ms else None
        return None
