"""Market data of any venue of ccxt, by polling its unified methods: best prices, trades, and bars of the past.

There is no stream here, so that nothing can be lost from one: each answer is complete, and as old as the pause between
two of them. ccxt paces the requests by what it knows of the venue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from workers.adapters.ccxt_generic import GenericVenue
from workers.adapters.frame_errors import FrameError
from workers.adapters.poll_fetch import PolledMarket
from workers.adapters.polling import Fetch
from workers.adapters.rest_reader import RestError
from workers.adapters.venue import VenueError, VenueRejected
from workers.engine.events import Bar, MarketEvent
from workers.engine.instruments import GridError, Instrument
from workers.engine.market.quality import Rejection

SECOND_NS: Final = 1_000_000_000
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def fetch_from(venue: GenericVenue, instruments: Sequence[Instrument], clock: Callable[[], int]) -> Fetch:
    """How the market at ``venue`` is polled. ``clock`` gives ns since 1970."""
    markets = {one.symbol: PolledMarket(one) for one in instruments}

    async def fetch(symbol: str) -> Sequence[MarketEvent]:
        market = markets[symbol]
        try:
            quote, at = await venue.quote(symbol), clock()
            found = await venue.public_trades(symbol)
            now = clock()
            tops = [market.top(*quote, at)] if quote is not None else []
            return [
                *tops,
                *(
                    market.trade(one.number, one.price, one.quantity, one.aggressor, at=one.ts_event, recv=now)
                    for one in found
                ),
            ]
        except GridError as error:
            raise FrameError(Rejection.OFF_GRID, symbol, str(error)) from error
        except VenueError as error:
            raise RestError(0, str(error)) from error

    return fetch


def interval_name(venue: GenericVenue, length_ns: int) -> str:
    """ccxt's name of an interval; ValueError where the venue has no candles of that length."""
    lengths = {int(name[:-1]) * UNITS[name[-1]]: name for name in venue.intervals if name[-1] in UNITS}
    name = lengths.get(length_ns // SECOND_NS) if length_ns % SECOND_NS == 0 else None
    if name is None:
        known = ", ".join(f"{seconds} s" for seconds in sorted(lengths)) or "none"
        raise ValueError(f"expected candles of {venue.name} among {known}, was {length_ns / SECOND_NS:g} s")
    return name


async def bars(venue: GenericVenue, symbol: str, length_ns: int, *, count: int, now: int) -> list[Bar]:
    """At most ``count`` newest closed bars, oldest first. VenueError, and ValueError as ``interval_name``."""
    if not venue.has_history:
        raise VenueRejected("NO_CANDLES", f"ccxt has no candles of {venue.name}: strategies begin with no past")
    name, instrument = interval_name(venue, length_ns), venue.instruments[symbol]
    found = await venue.candles(symbol, name, count)
    return [
        Bar(
            symbol=symbol,
            ts_event=one.start + length_ns,
            ts_recv=now,
            start=one.start,
            interval_ns=length_ns,
            open=_ticks(one.open, instrument),
            high=_ticks(one.high, instrument),
            low=_ticks(one.low, instrument),
            close=_ticks(one.close, instrument),
            volume=int(one.volume // instrument.lot),
            trades=0,
        )
        for one in found
        if one.start + length_ns <= now
    ]


def _ticks(price: Decimal, instrument: Instrument) -> int:
    if not price.is_finite() or price <= 0:
        raise VenueRejected("UNREADABLE", f"expected a positive price in a candle, was {price} ({instrument.symbol})")
    return int((price / instrument.tick).to_integral_value(ROUND_HALF_EVEN))
