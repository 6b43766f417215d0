"""Instruments from Binance spot's ``exchangeInfo``, and what the paper venue adds about the market it replays."""

from __future__ import annotations

from collections.abc import Collection
from decimal import ROUND_CEILING, Decimal
from typing import Any

import msgspec

from workers.engine.instruments import GridError, Instrument


class Filter(msgspec.Struct):
    """Any of the filters; only the fields that are used."""

    kind: str = msgspec.field(name="filterType")
    tick_size: str = msgspec.field(name="tickSize", default="")
    step_size: str = msgspec.field(name="stepSize", default="")
    min_quantity: str = msgspec.field(name="minQty", default="")
    max_quantity: str = msgspec.field(name="maxQty", default="")
    min_notional: str = msgspec.field(name="minNotional", default="")


class SymbolInfo(msgspec.Struct):
    symbol: str
    status: str
    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")
    filters: list[Filter]


class MarketInfo(msgspec.Struct):
    """The paper venue's ``gekko`` entry: which market it plays; ``label`` is shown to the operator."""

    market: str
    label: str
    bar_interval: str = msgspec.field(name="barInterval", default="")
    session: dict[str, Any] = msgspec.field(default_factory=dict)


class RateLimit(msgspec.Struct):
    kind: str = msgspec.field(name="rateLimitType")
    interval: str
    count: int = msgspec.field(name="intervalNum")
    limit: int


class ExchangeInfo(msgspec.Struct):
    symbols: list[SymbolInfo]
    gekko: MarketInfo | None = None
    rate_limits: list[RateLimit] = msgspec.field(name="rateLimits", default_factory=list)

    @property
    def weight_per_minute(self) -> int:
        """Request weight that the venue allows an address in a minute; 0 when it does not say."""
        limits = [one for one in self.rate_limits if (one.kind, one.interval) == ("REQUEST_WEIGHT", "MINUTE")]
        return min((one.limit // one.count for one in limits), default=0)


_decoder = msgspec.json.Decoder(ExchangeInfo)


def decode_exchange_info(raw: bytes) -> ExchangeInfo:
    """Decode the answer. Raises msgspec.ValidationError where a field is missing or of another type."""
    return _decoder.decode(raw)


def instruments(
    info: ExchangeInfo, *, venue: str, symbols: Collection[str], maker_fee: Decimal, taker_fee: Decimal
) -> dict[str, Instrument]:
    """The instruments named in ``symbols``. Fees are fractions: they belong to the account and are not in the answer.

    Raises GridError for a symbol that the venue does not have or that lacks a filter.
    """
    found = {one.symbol: one for one in info.symbols}
    missing = sorted(set(symbols) - set(found))
    if missing:
        raise GridError(f"expected symbols of {venue}, was {', '.join(missing)}: choose from its exchangeInfo")
    return {
        symbol: _instrument(found[symbol], venue=venue, maker_fee=maker_fee, taker_fee=taker_fee) for symbol in symbols
    }


def _instrument(info: SymbolInfo, *, venue: str, maker_fee: Decimal, taker_fee: Decimal) -> Instrument:
    filters = {one.kind: one for one in info.filters}
    price, quantity = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL")
    if price is None or quantity is None:
        raise GridError(f"expected PRICE_FILTER and LOT_SIZE, was {sorted(filters)} ({info.symbol})")
    lot = Decimal(quantity.step_size)
    return Instrument(
        venue=venue,
        symbol=info.symbol,
        base=info.base,
        quote=info.quote,
        tick=Decimal(price.tick_size),
        lot=lot,
        # The smallest order is at least the minimum, the largest at most the maximum: round inwards.
        min_lots=max(1, int((Decimal(quantity.min_quantity) / lot).to_integral_value(ROUND_CEILING))),
        max_lots=int(Decimal(quantity.max_quantity) // lot),
        min_notional=Decimal(notional.min_notional or "0") if notional is not None else Decimal(0),
        maker_fee=maker_fee,
        taker_fee=taker_fee,
    )
