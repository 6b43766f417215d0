"""The instruments that the paper venue lists, with their filters."""

from __future__ import annotations

from decimal import Decimal

from workers.engine.instruments import Instrument
from workers.live.paper_venue.config import VenueConfig

VENUE = "paper"

_LISTED = {
    # symbol: base, quote, tick, lot, largest order in base units
    "BTCUSDT": ("BTC", "USDT", "0.01", "0.00001", 9000),
    "ETHUSDT": ("ETH", "USDT", "0.01", "0.0001", 9000),
    "BTCUSD": ("BTC", "USD", "0.01", "0.00001", 9000),
    "EURUSD": ("EUR", "USD", "0.00001", "1", 10_000_000),
}


def listed(symbol: str) -> bool:
    """True when the venue has filters for the symbol."""
    return symbol in _LISTED


def instrument(symbol: str, config: VenueConfig) -> Instrument:
    """The instrument with the configured fees; KeyError for a symbol that is not listed."""
    base, quote, tick, lot, most = _LISTED[symbol]
    return Instrument(
        venue=VENUE,
        symbol=symbol,
        base=base,
        quote=quote,
        tick=Decimal(tick),
        lot=Decimal(lot),
        min_lots=1,
        max_lots=int(most / Decimal(lot)),
        min_notional=Decimal(5),
        maker_fee=config.maker_fee,
        taker_fee=config.taker_fee,
    )
