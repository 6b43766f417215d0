"""Publishes candlesticks by the clock: changes four times a second, and each bar once when it closes.

A dark venue has none; it tells its session's state instead, so that a reader of silent streams knows that it lives.
"""

from __future__ import annotations

import asyncio

import msgspec

from workers.live.paper_venue.market import Listing
from workers.live.paper_venue.rest_market import kline_event
from workers.live.paper_venue.venue import Venue

_PERIOD_S = 0.25
_DARK_PERIOD_S = 5.0


async def publish_klines(venue: Venue) -> None:
    """Run for ever."""
    shown: dict[str, int] = {}
    while True:
        await asyncio.sleep(_PERIOD_S)
        venue.drop_stale_listen_keys()
        if not venue.market.open:
            continue
        for listing in venue.market.listings.values():
            for interval in listing.series:
                stream = f"{listing.stream}@kline_{interval}"
                if venue.hub.wants(stream):
                    _publish(venue, listing, interval, stream, shown)
                else:
                    shown.pop(stream, None)


async def publish_status(venue: Venue) -> None:
    """Run for ever, at a dark venue."""
    while True:
        await asyncio.sleep(_DARK_PERIOD_S)
        venue.drop_stale_listen_keys()
        if venue.market.open:
            venue.market.announce(venue.clock())


def _publish(venue: Venue, listing: Listing, interval: str, stream: str, shown: dict[str, int]) -> None:
    series, now_ms = listing.series[interval], venue.now_ms
    current = series.advance(now_ms)
    if current is None:
        return
    last = shown.get(stream)
    for start in range(last, current.start, series.interval_ms) if last is not None else ():
        closed = series.at(start)
        if closed is not None:
            event = kline_event(listing, interval, closed, now_ms, closed=True)
            venue.hub.publish(stream, msgspec.json.encode(event))
    shown[stream] = current.start
    venue.hub.publish(stream, msgspec.json.encode(kline_event(listing, interval, current, now_ms, closed=False)))
