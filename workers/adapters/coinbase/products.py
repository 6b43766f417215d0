"""Instruments from Coinbase's product lists: Advanced Trade's and the older exchange's."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import TypeVar

import msgspec

from workers.engine.instruments import GridError, Instrument

Listed = TypeVar("Listed")


class AdvancedProduct(msgspec.Struct):
    """An entry of ``/api/v3/brokerage/market/products``."""

    product_id: str
    base_currency_id: str
    quote_currency_id: str
    base_increment: str
    price_increment: str = ""
    quote_increment: str = ""
    base_min_size: str = "0"
    base_max_size: str = "0"
    quote_min_size: str = "0"
    trading_disabled: bool = False


class AdvancedProducts(msgspec.Struct):
    products: list[AdvancedProduct]


class ExchangeProduct(msgspec.Struct):
    """An entry of the exchange's ``/products``; the size limits are gone from newer answers."""

    id: str
    base_currency: str
    quote_currency: str
    base_increment: str
    quote_increment: str
    base_min_size: str = "0"
    base_max_size: str = "0"
    min_market_funds: str = "0"


def advanced(
    raw: bytes, *, venue: str, symbols: Collection[str], maker_fee: Decimal, taker_fee: Decimal
) -> dict[str, Instrument]:
    """Instruments of Advanced Trade; GridError for a symbol that is missing or cannot be represented."""
    listed = {one.product_id: one for one in msgspec.json.decode(raw, type=AdvancedProducts).products}
    return {
        symbol: _instrument(
            venue=venue,
            symbol=symbol,
            base=one.base_currency_id,
            quote=one.quote_currency_id,
            tick=one.price_increment or one.quote_increment,
            lot=one.base_increment,
            sizes=(one.base_min_size, one.base_max_size, one.quote_min_size),
            fees=(maker_fee, taker_fee),
        )
        for symbol, one in _chosen(listed, symbols, venue)
    }


def exchange(
    raw: bytes, *, venue: str, symbols: Collection[str], maker_fee: Decimal, taker_fee: Decimal
) -> dict[str, Instrument]:
    """Instruments of the older exchange; GridError for a symbol that is missing or cannot be represented."""
    listed = {one.id: one for one in msgspec.json.decode(raw, type=list[ExchangeProduct])}
    return {
        symbol: _instrument(
            venue=venue,
            symbol=symbol,
            base=one.base_currency,
            quote=one.quote_currency,
            tick=one.quote_increment,
            lot=one.base_increment,
            sizes=(one.base_min_size, one.base_max_size, one.min_market_funds),
            fees=(maker_fee, taker_fee),
        )
        for symbol, one in _chosen(listed, symbols, venue)
    }


def _chosen(listed: dict[str, Listed], symbols: Collection[str], venue: str) -> Iterable[tuple[str, Listed]]:
    missing = sorted(set(symbols) - set(listed))
    if missing:
        raise GridError(f"expected products of {venue}, was {', '.join(missing)}: choose from its product list")
    return [(symbol, listed[symbol]) for symbol in (symbols or listed)]


def _instrument(
    *,
    venue: str,
    symbol: str,
    base: str,
    quote: str,
    tick: str,
    lot: str,
    sizes: tuple[str, str, str],
    fees: tuple[Decimal, Decimal],
) -> Instrument:
    step = Decimal(lot)
    smallest, largest, notional = (Decimal(text or "0") for text in sizes)
    return Instrument(
        venue=venue,
        symbol=symbol,
        base=base,
        quote=quote,
        tick=Decimal(tick),
        lot=step,
        min_lots=max(1, -int(-smallest // step)),
        max_lots=int(largest // step) or 10**15,
        min_notional=notional,
        maker_fee=fees[0],
        taker_fee=fees[1],
    )
