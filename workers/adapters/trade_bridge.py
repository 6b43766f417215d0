"""Each trade once and in order, over the change from a stream to polling and back.

A connection that was lost says nothing of what traded meanwhile; a poll lists newest trades whether they were told or
not. Ids rise with time at every venue that uses this, so one number an instrument says what has been told::

    bridge.lost()                    # the stream is away: what it told is not told again
    bridge.polled(trades)            # those of a poll that are new, oldest first
    bridge.hold(symbols)             # the stream is back: its trades wait ...
    bridge.release(symbol, polled)   # ... until those of the time between are told; returns both, in order
    bridge.streamed(trade)           # False for one that must not be told now

Pure: what is to be told is returned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

from workers.engine.events import FeedStatus, Trade
from workers.engine.vocabulary import FeedState

T = TypeVar("T")


class Held(NamedTuple, Generic[T]):
    """A streamed trade that waits, with how it came."""

    trade: Trade
    times: T


class TradeBridge(Generic[T]):
    """One per client. ``duplicates`` and ``missed`` count trades told before, and ids that nobody told us of."""

    def __init__(self, since: int = 0) -> None:
        """``since``: when listening began, ns. Of a market not heard of yet nothing older is told."""
        self._since = since
        self.duplicates = 0
        self.missed = 0
        self._newest: dict[str, int] = {}
        self._floor: dict[str, int] = {}
        """Ids up to this were told before the stream was lost, or are told by polling."""
        self._held: dict[str, list[Held[T]]] = {}
        self._sessions: dict[str, int] = {}

    @property
    def holding(self) -> bool:
        """True while trades of some instrument wait."""
        return bool(self._held)

    def known(self, symbol: str) -> bool:
        """True when some trade of ``symbol`` was told: only then can one be missing."""
        return symbol in self._newest

    def lost(self) -> None:
        """The stream is away. Trades that still wait were not told, and polling lists them."""
        self._held.clear()
        self._floor.update(self._newest)

    def hold(self, symbols: Iterable[str]) -> None:
        """Let streamed trades of ``symbols`` wait for those of the time before."""
        for symbol in symbols:
            self._held.setdefault(symbol, [])

    def streamed(self, trade: Trade, times: T) -> bool:
        """True when a trade off the stream is to be told now; else it waits, or was told already."""
        held = self._held.get(trade.symbol)
        if held is not None:
            held.append(Held(trade, times))
            return False
        return self._tell(trade)

    def polled(self, trades: Sequence[Trade]) -> list[Trade]:
        """Trades of a poll that nobody told us of yet, oldest first."""
        fresh: list[Trade] = []
        new = {trade.symbol for trade in trades if trade.symbol not in self._newest}
        for trade in sorted(trades, key=lambda one: one.trade_id):
            newest = self._newest.get(trade.symbol, trade.trade_id - 1)
            if trade.trade_id <= newest:
                continue
            self._floor[trade.symbol] = self._newest[trade.symbol] = trade.trade_id
            if trade.symbol not in new:
                self.missed += trade.trade_id - newest - 1
            if trade.symbol not in new or trade.ts_event >= self._since:
                fresh.append(trade)
        return fresh

    def release(self, symbol: str, polled: Sequence[Trade]) -> tuple[list[Trade], list[Held[T]]]:
        """Trades of the time between, then those that waited, each once; nothing waits any more."""
        between = self.polled(polled) if self.known(symbol) else []
        waited = self._held.pop(symbol, [])
        if waited and symbol in self._newest:
            self.missed += max(waited[0].trade.trade_id - self._newest[symbol] - 1, 0)
        return between, [one for one in waited if self._tell(one.trade)]

    def on_status(self, status: FeedStatus) -> None:
        """A new market session counts its trades anew."""
        changed = bool(status.session_id) and status.session_id != self._sessions.get(status.symbol, status.session_id)
        if status.session_id:
            self._sessions[status.symbol] = status.session_id
        if changed or status.state is FeedState.BREAK:
            self._newest.pop(status.symbol, None)
            self._floor.pop(status.symbol, None)

    def _tell(self, trade: Trade) -> bool:
        if trade.trade_id <= self._floor.get(trade.symbol, -1):
            self.duplicates += 1
            return False
        newest = self._newest.get(trade.symbol)
        if newest is None or trade.trade_id > newest:
            self._newest[trade.symbol] = trade.trade_id
        return True
