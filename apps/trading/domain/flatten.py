"""Closing positions: what would be sent for each, and what it is likely to cost. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from apps.core.errors import Conflict, IllegalTransition, Invalid
from apps.core.money import plain
from workers.engine.instruments import Instrument

REASON_LIMIT: Final = 500
PATIENCE_S: Final = 120
"""So long the loop goes on trying; what is left then stays, and is said."""
OFFSET_TICKS: Final = 5
"""How far through the touch each order may trade."""
_CENT: Final = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Holding:
    """One position, ``quantity`` in the base asset (negative when short); ``mark`` None when it was never valued."""

    instrument: Instrument
    quantity: Decimal
    mark: Decimal | None


@dataclass(frozen=True, slots=True)
class Closing:
    """What closes one position. ``problem`` says why nothing can be sent for it; empty when something can.

    ``quantity`` is in whole lots, without what other orders close already; ``remainder`` what is left because it is
    smaller than a lot. ``value`` and ``fee`` are estimates at the mark, in the quote asset, None without one.
    """

    instrument: Instrument
    side: str
    quantity: Decimal
    remainder: Decimal
    mark: Decimal | None
    value: Decimal | None
    fee: Decimal | None
    orders: int
    displaced: int = 0
    """Orders on the same lots that are cancelled first: stops that the venue holds, and what strategies left there."""
    problem: str = ""

    @property
    def signed(self) -> dict[str, str]:
        """What a person puts his name to."""
        return {"symbol": self.instrument.symbol, "side": self.side, "quantity": plain(self.quantity)}


def plan(
    holdings: Iterable[Holding],
    limits: Mapping[str, Any],
    under_way: Mapping[tuple[str, str], Decimal],
    resting: Mapping[tuple[str, str], int],
    halts: Mapping[str, str],
) -> list[Closing]:
    """How to close what nobody closes yet of every position that is not flat.

    By symbol and side: ``under_way`` is what is left of the orders that only reduce, in the base asset; ``resting`` how
    many other orders hold lots at the venue. ``halts`` says by symbol which halt keeps every order from leaving.
    """
    found = [_closing(held, limits, under_way, resting) for held in holdings if held.quantity]
    return [replace(one, problem=halts.get(one.instrument.symbol) or one.problem) for one in found]


def _closing(
    held: Holding,
    limits: Mapping[str, Any],
    under_way: Mapping[tuple[str, str], Decimal],
    resting: Mapping[tuple[str, str], int],
) -> Closing:
    item, side = held.instrument, "SELL" if held.quantity > 0 else "BUY"
    going = under_way.get((item.symbol, side), Decimal(0))
    rest = max(Decimal(0), abs(held.quantity) - going)
    lots = int(rest / item.lot)
    quantity = item.quantity(lots)
    value = None if held.mark is None else (quantity * held.mark).quantize(_CENT)
    return Closing(
        instrument=item,
        side=side,
        quantity=quantity,
        remainder=rest - quantity,
        mark=held.mark,
        value=value,
        fee=None if value is None else (value * item.taker_fee).quantize(_CENT),
        orders=_orders(item, quantity, value, limits),
        displaced=resting.get((item.symbol, side), 0),
        problem=_problem(item, lots, value, going),
    )


def _problem(item: Instrument, lots: int, value: Decimal | None, going: Decimal) -> str:
    """Why nothing can be sent for what is left besides the ``going`` that other orders close."""
    if going and not lots:
        return "it is being closed already"
    small = _too_small(item, lots, value)
    if going and small:
        return f"{plain(going)} {item.base} of it are being closed already; the rest cannot be: {small}"
    return small


def _too_small(item: Instrument, lots: int, value: Decimal | None) -> str:
    if lots < item.min_lots:
        return f"it is smaller than the least order of {plain(item.quantity(item.min_lots))} {item.base}"
    if value is not None and value < item.min_notional:
        return f"it is worth less than the least order of {plain(item.min_notional)} {item.quote}"
    return ""


def _orders(item: Instrument, quantity: Decimal, value: Decimal | None, limits: Mapping[str, Any]) -> int:
    """How many orders the limits per order make of it, at least."""
    most = [quantity / item.quantity(item.max_lots)]
    by_quantity = (limits.get("max_order_qty") or {}).get(item.symbol)
    if by_quantity and Decimal(by_quantity) > 0:
        most.append(quantity / Decimal(by_quantity))
    by_value = limits.get("max_order_notional")
    if by_value and value is not None and Decimal(by_value) > 0:
        most.append(value / Decimal(by_value))
    return max(1, int(max(most).to_integral_value(ROUND_CEILING)))


def digest(wanted: Iterable[Mapping[str, str]]) -> str:
    """Names exactly these positions: leave to close them is leave for nothing else."""
    rows = sorted([each["symbol"], each["side"], each["quantity"]] for each in wanted)
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()[:24]


def agreed(closings: Iterable[Closing], wanted: Iterable[Mapping[str, str]]) -> list[tuple[Closing, Decimal]]:
    """What to send of what was signed: never more, and less where the position has become smaller since.

    Invalid for a position that is named twice, Conflict for one that is flat or has turned round,
    IllegalTransition for one that cannot be closed now.
    """
    present = {closing.instrument.symbol: closing for closing in closings}
    found: list[tuple[Closing, Decimal]] = []
    for each in wanted:
        symbol = each["symbol"]
        if any(closing.instrument.symbol == symbol for closing, _ in found):
            raise Invalid(f"{symbol} is named twice", field="positions")
        closing = present.get(symbol)
        if closing is None or closing.side != each["side"]:
            raise Conflict(f"the position in {symbol} is not what was shown any more; look at it again", symbol=symbol)
        if closing.problem:
            raise IllegalTransition(f"{symbol} cannot be closed: {closing.problem}", state="refused", symbol=symbol)
        found.append((closing, min(closing.quantity, Decimal(each["quantity"]))))
    if not found:
        raise Invalid("name at least one position to close", field="positions")
    return found
