"""Binance's exchangeInfo as the engine's instruments."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from workers.engine.instruments import Instrument


def instrument_from(entry: Mapping[str, Any], account: Mapping[str, Any], venue: str) -> Instrument:
    """One symbol of ``exchangeInfo`` with the fees that ``account`` pays; KeyError names a missing filter."""
    filters = {rule["filterType"]: rule for rule in entry["filters"]}
    size, price = filters["LOT_SIZE"], filters["PRICE_FILTER"]
    lot = Decimal(size["stepSize"])
    floor = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {"minNotional": "0"}
    maker, taker = _fees(account)
    return Instrument(
        venue=venue,
        symbol=entry["symbol"],
        base=entry["baseAsset"],
        quote=entry["quoteAsset"],
        tick=Decimal(price["tickSize"]),
        lot=lot,
        min_lots=max(int(-(-Decimal(size["minQty"]) // lot)), 1),
        max_lots=int(Decimal(size["maxQty"]) // lot),
        min_notional=Decimal(floor["minNotional"]),
        maker_fee=maker,
        taker_fee=taker,
    )


def _fees(account: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    """Maker and taker fee as fractions: ``commissionRates`` where the venue gives them, else basis points."""
    rates = account.get("commissionRates")
    if rates:
        return Decimal(rates["maker"]), Decimal(rates["taker"])
    return Decimal(account["makerCommission"]) / 10_000, Decimal(account["takerCommission"]) / 10_000
