"""Binance spot's dialect, which the paper venue speaks too."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any, Final

from workers.adapters.binance.exchange_info import MarketInfo
from workers.adapters.binance.frames import Candle, SymbolDecoder
from workers.adapters.binance.limits import Backoff
from workers.adapters.binance.market_client import ClientConfig
from workers.adapters.binance.user_stream import UserStream
from workers.adapters.ccxt_rewire import host_url
from workers.adapters.ccxt_venue import CcxtVenue
from workers.adapters.feeds import Handlers, open_binance
from workers.engine.events import Bar
from workers.engine.instruments import Instrument
from workers.engine.market.venues import PAPER_DARK
from workers.live.execution.config import LoopConfig, VenueAccess
from workers.live.execution.dialect import AccountHooks

REAL_STREAM: Final = "wss://stream.binance.us:9443"
REAL_REST: Final = "https://api.binance.us"
STREAM_HOST: Final = "stream.binance.us"
REST_HOST: Final = "api.binance.us"
INTERVALS: Final = {
    "1s": 1_000_000_000,
    "1m": 60_000_000_000,
    "3m": 180_000_000_000,
    "5m": 300_000_000_000,
    "15m": 900_000_000_000,
    "30m": 1_800_000_000_000,
    "1h": 3_600_000_000_000,
    "4h": 14_400_000_000_000,
    "1d": 86_400_000_000_000,
}
"""Length in ns of the bars that the venue has."""
CAUTIOUS_WEIGHT: Final = 1000
"""Request weight per minute at a venue that does not tell its limit: Binance.US has 1200."""
POLL_AFTER_S: Final = 5.0
"""A stream that was away for so long is stood in for by polling."""
USABLE_PERCENT: Final = 80
"""Share of the request weight for market data; the account's requests count against it too."""


def interval_name(interval_ns: int) -> str:
    """The venue's name of an interval; ValueError for one that it does not have."""
    for name, length in INTERVALS.items():
        if length == interval_ns:
            return name
    raise ValueError(f"expected a bar interval among {', '.join(INTERVALS)}, was {interval_ns} ns")


def stream_url(venue_url: str | None) -> str:
    """Base of the websocket."""
    return host_url(venue_url.replace("http", "ws", 1), STREAM_HOST) if venue_url else REAL_STREAM


def rest_url(venue_url: str | None) -> str:
    """Base of the public REST endpoints."""
    return host_url(venue_url, REST_HOST) if venue_url else REAL_REST


class BinanceDialect:
    """One account at Binance.US, or at a paper venue under ``access.url``."""

    def __init__(self, access: VenueAccess, config: LoopConfig) -> None:
        self._access = access
        # A dark venue shows nothing that could be polled.
        self._poll_after_s = 0.0 if access.code == PAPER_DARK.code else POLL_AFTER_S
        self.venue = CcxtVenue(
            api_key=access.api_key,
            secret=access.api_secret,
            url=access.url,
            name=access.name,
            clock=time.time_ns,
            timeout_s=config.order_timeout_s,
            rules=PAPER_DARK if access.code == PAPER_DARK.code else None,
        )

    @property
    def market(self) -> MarketInfo | None:
        """What the paper venue says of the market that it plays."""
        return self.venue.market

    async def follow(self, instruments: Sequence[Instrument], handlers: Handlers) -> None:
        """The combined stream of all instruments, or polling while it is away."""
        url = self._access.url
        config = ClientConfig(
            stream_url=stream_url(url),
            rest_url=rest_url(url),
            session_status=url is not None,
            weight_limit=self.venue.weight_per_minute * USABLE_PERCENT // 100 or CAUTIOUS_WEIGHT,
        )
        await open_binance("binanceus", instruments, config, handlers, poll_after_s=self._poll_after_s).run()

    def account(self, hooks: AccountHooks) -> UserStream:
        """The user data stream."""
        return UserStream(
            keys=self.venue,
            ws_url=stream_url(self._access.url),
            on_reports=hooks.on_reports,
            on_state=hooks.on_state,
            clock=time.time_ns,
            backoff=Backoff(random.Random()),  # noqa: S311  # jitter, not a secret
        )

    def check_interval(self, interval_ns: int) -> str:
        """See ``interval_name``."""
        return interval_name(interval_ns)

    async def history(self, symbol: str, interval_ns: int, count: int) -> list[Bar]:
        """The venue's klines."""
        rows = await self.venue.klines(symbol, interval_name(interval_ns), count)
        decoder, now = SymbolDecoder(self.venue.instruments[symbol]), time.time_ns()
        return [decoder.bar(_candle(row), now) for row in rows]


def _candle(row: Sequence[Any]) -> Candle:
    return Candle(
        start_ms=int(row[0]),
        end_ms=int(row[6]),
        open=row[1],
        high=row[2],
        low=row[3],
        close=row[4],
        volume=row[5],
        trades=int(row[8]),
    )
