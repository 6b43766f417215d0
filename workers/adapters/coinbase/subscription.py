"""What Coinbase's two feeds want to be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from workers.adapters.coinbase.frames import HEARTBEATS, LEVEL2, MARKET_TRADES, TICKER

HEARTBEAT: Final = "heartbeat"

Token = Callable[[], str]
"""Makes a fresh token; each is good for two minutes and is checked when a channel is subscribed."""


class AdvancedTradeSubscription:
    """Advanced Trade: one message per channel. Heartbeats keep quiet channels open."""

    def __init__(self, symbols: Sequence[str], *, books: bool = True, token: Token | None = None) -> None:
        """Without ``books`` the best prices of the ticker are followed. Market data needs no ``token``."""
        self.symbols = tuple(symbols)
        self._channels = (HEARTBEATS, LEVEL2 if books else TICKER, MARKET_TRADES)
        self._token = token

    def opening(self) -> Sequence[str]:
        """Heartbeats first: they show at once that the connection works."""
        return [self._message("subscribe", channel, self.symbols) for channel in self._channels]

    def renewal(self, symbol: str) -> Sequence[str]:
        """Leave the book's channel and enter it again."""
        return [self._message(verb, LEVEL2, (symbol,)) for verb in ("unsubscribe", "subscribe")]

    def _message(self, verb: str, channel: str, symbols: Sequence[str]) -> str:
        body: dict[str, object] = {"type": verb, "channel": channel}
        if channel != HEARTBEATS:
            body["product_ids"] = list(symbols)
        if self._token is not None:
            body["jwt"] = self._token()
        return msgspec.json.encode(body).decode()


class ExchangeSubscription:
    """The older exchange feed. ``level2_batch`` is the level 2 channel that needs no sign-in today."""

    def __init__(self, symbols: Sequence[str], *, level2: str = "level2_batch") -> None:
        self.symbols = tuple(symbols)
        self._level2 = level2

    def opening(self) -> Sequence[str]:
        """All channels in one message."""
        return [self._message("subscribe", self.symbols, (HEARTBEAT, self._level2, "matches", "ticker"))]

    def renewal(self, symbol: str) -> Sequence[str]:
        """Leave the book's channel and enter it again."""
        return [self._message(verb, (symbol,), (self._level2,)) for verb in ("unsubscribe", "subscribe")]

    def _message(self, verb: str, symbols: Sequence[str], channels: Sequence[str]) -> str:
        return msgspec.json.encode({"type": verb, "product_ids": symbols, "channels": channels}).decode()
