"""What a venue's market tells, as immutable records; units and times as in ``events``. Not journalled."""

from __future__ import annotations

import msgspec

from workers.engine.vocabulary import FeedState, Side

__all__ = ["Bar", "BookDelta", "BookSnapshot", "FeedStatus", "Level", "MarketEvent", "TopOfBook", "Trade"]

Level = tuple[int, int]
"""(price in ticks, quantity in lots); zero lots deletes the level."""


class MarketEvent(msgspec.Struct, frozen=True, gc=False, tag=True, kw_only=True):
    symbol: str
    ts_event: int
    ts_recv: int


class BookSnapshot(MarketEvent, frozen=True):
    last_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class BookDelta(MarketEvent, frozen=True):
    first_id: int
    last_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class TopOfBook(MarketEvent, frozen=True):
    update_id: int
    bid: int
    bid_lots: int
    ask: int
    ask_lots: int


class Trade(MarketEvent, frozen=True):
    trade_id: int
    price: int
    lots: int
    aggressor: Side


class Bar(MarketEvent, frozen=True):
    """OHLCV of ``[start, start + interval)`` in event time, in ticks and lots; ``ts_event`` is the end."""

    start: int
    interval_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int


class FeedStatus(MarketEvent, frozen=True):
    """The feed of one instrument changed state; risk refuses entries unless it is LIVE."""

    state: FeedState
    detail: str = ""
    session_id: int = 0
    closes_at: int = 0
    """End of the session in ns, 0 when the venue never closes."""
