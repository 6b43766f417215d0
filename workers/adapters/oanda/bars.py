"""Bars of a market without public trades: each candle is asked for once its time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import structlog

from workers.adapters.candles import interval_name, newest
from workers.adapters.rest_reader import RestError, RestReader
from workers.engine.events import Bar
from workers.engine.instruments import Instrument

ASKED_AFTER_S: Final = (0.3, 1.0, 3.0)
"""How long after its end a candle is asked for; a quiet market has none, which is no error."""
BACK: Final = 3
"""Candles asked for at once, so that one that was late is not left out."""

log = structlog.get_logger(__name__)


async def follow_bars(
    rest: RestReader,
    instruments: Iterable[Instrument],
    *,
    length_ns: int,
    on_bar: Callable[[Bar], None],
    clock: Callable[[], int],
) -> None:
    """Tell every bar of ``length_ns`` that ends from now on, once and in order, until cancelled.

    Raises what ``on_bar`` raised, and ValueError for a length of which the venue has no candles.
    """
    interval_name("oanda", length_ns)
    told = {one: clock() for one in instruments}
    while True:
        now = clock()
        end = now - now % length_ns + length_ns
        for after_s in ASKED_AFTER_S:
            await asyncio.sleep(max((end - clock()) / 1e9 + after_s, 0))
            for instrument in [one for one, until in told.items() if until < end]:
                for bar in await _closed(rest, instrument, length_ns, clock()):
                    if bar.ts_event > told[instrument]:
                        told[instrument] = bar.ts_event
                        on_bar(bar)


async def _closed(rest: RestReader, instrument: Instrument, length_ns: int, now: int) -> list[Bar]:
    try:
        return await newest("oanda", rest, instrument, length_ns, count=BACK, now=now, empty_pages=0)
    except (RestError, msgspec.DecodeError, ValueError) as error:
        log.warning("no candles", symbol=instrument.symbol, error=str(error))
        return []
