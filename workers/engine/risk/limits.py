"""Risk limits as the gate uses them: the published decimals, converted once into exact integers.

A limit that is missing or malformed is an error that names its field; nothing is guessed, because a guessed limit is
no limit. An instrument without an entry of its own in ``max_order_qty`` or ``max_position`` is bounded by the venue's
largest order and by the limits on value; to forbid an instrument, publish it as restricted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from workers.engine.config import SECOND_NS
from workers.engine.instruments import GridError, Instrument, atoms, money

COLLAR_SCALE: Final = 10**8
"""The collar as a fraction is ``collar / COLLAR_SCALE``; one basis point is 10**4."""
MS_NS: Final = 1_000_000
UNBOUNDED: Final = 10**40
"""A position limit that is not published; the limits on value still hold."""


class LimitsError(ValueError):
    """Limits that cannot be used; ``field`` says which one."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """One published version. Money in money units of the quote asset, times in ns."""

    version: int
    digest: str
    max_order_lots: dict[str, int]
    max_order_notional: int
    max_position: dict[str, int]
    """Atoms of the base asset by symbol."""
    max_gross: int
    max_open_orders: int
    collar: int
    reference_max_age_ns: int
    forecast_max_age_bars: int
    min_order_interval_ns: int
    message_interval_ns: int
    """Time per order at the sustained rate."""
    burst: int
    duplicate_window_ns: int
    max_daily_loss: int
    max_drawdown: int
    restricted: frozenset[str]
    snapshot_max_age_ns: int
    target_gross_fraction: Decimal


def limits_digest(limits: Mapping[str, Any]) -> str:
    """SHA-256 in hex over the limits as JSON with sorted keys and no spaces."""
    text = json.dumps(limits, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def parse_limits(version: int, limits: Mapping[str, Any], instruments: Iterable[Instrument]) -> Limits:
    """Convert published limits for these instruments; LimitsError names the field that is missing or unusable."""
    known = {instrument.symbol: instrument for instrument in instruments}
    quote = next((instrument.quote for instrument in known.values()), "")
    quantities, positions = _table(limits, "max_order_qty"), _table(limits, "max_position")
    rate = _decimal(limits, "max_orders_per_second", positive=True)
    return Limits(
        version=version,
        digest=limits_digest(limits),
        max_order_lots={
            s: _lots(i, quantities[s], f"max_order_qty.{s}") if s in quantities else i.max_lots
            for s, i in known.items()
        },
        max_order_notional=_money(limits, "max_order_notional", quote),
        max_position={
            s: _atoms(i, positions[s], f"max_position.{s}") if s in positions else UNBOUNDED for s, i in known.items()
        },
        max_gross=_money(limits, "max_gross_notional", quote),
        max_open_orders=_whole(limits, "max_open_orders"),
        collar=_collar(limits),
        reference_max_age_ns=_whole(limits, "reference_max_age_ms") * MS_NS,
        forecast_max_age_bars=_whole(limits, "forecast_max_age_bars"),
        min_order_interval_ns=_whole(limits, "min_order_interval_ms") * MS_NS,
        message_interval_ns=int((SECOND_NS / rate).to_integral_value(ROUND_CEILING)),
        burst=max(_whole(limits, "burst"), 1),
        duplicate_window_ns=_whole(limits, "duplicate_window_ms") * MS_NS,
        max_daily_loss=_money(limits, "max_daily_loss", quote),
        max_drawdown=_money(limits, "max_drawdown", quote),
        restricted=_symbols(limits, "restricted"),
        snapshot_max_age_ns=_whole(limits, "snapshot_max_age_s") * SECOND_NS,
        target_gross_fraction=_decimal(limits, "target_gross_fraction"),
    )


def _value(limits: Mapping[str, Any], field: str) -> Any:
    if field not in limits:
        raise LimitsError(field, "missing; publish limits that name it")
    return limits[field]


def _number(value: Any, field: str) -> Decimal:
    if isinstance(value, float | bool) or not isinstance(value, str | int | Decimal):
        raise LimitsError(field, f"expected a decimal as a string, was {value!r}")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise LimitsError(field, f"expected a decimal as a string, was {value!r}") from None
    if not number.is_finite() or number < 0:
        raise LimitsError(field, f"expected a finite, non-negative number, was {value!r}")
    return number


def _decimal(limits: Mapping[str, Any], field: str, *, positive: bool = False) -> Decimal:
    number = _number(_value(limits, field), field)
    if positive and number == 0:
        raise LimitsError(field, "expected a positive number, was 0")
    return number


def _whole(limits: Mapping[str, Any], field: str) -> int:
    number = _decimal(limits, field)
    if number != int(number):
        raise LimitsError(field, f"expected a whole number, was {number}")
    return int(number)


def _money(limits: Mapping[str, Any], field: str, quote: str) -> int:
    try:
        return money(_decimal(limits, field), quote)
    except GridError as error:
        raise LimitsError(field, str(error)) from error


def _lots(instrument: Instrument, value: Any, field: str) -> int:
    try:
        return instrument.lots(_number(value, field))
    except GridError as error:
        raise LimitsError(field, str(error)) from error


def _atoms(instrument: Instrument, value: Any, field: str) -> int:
    try:
        return atoms(_number(value, field), instrument.base)
    except GridError as error:
        raise LimitsError(field, str(error)) from error


def _collar(limits: Mapping[str, Any]) -> int:
    scaled = _decimal(limits, "collar_bps") * (COLLAR_SCALE // 10_000)
    if scaled != int(scaled):
        raise LimitsError("collar_bps", f"expected at most four decimals, was {limits['collar_bps']}")
    return int(scaled)


def _table(limits: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    table = _value(limits, field)
    if not isinstance(table, Mapping):
        raise LimitsError(field, f"expected an object of symbol to quantity, was {table!r}")
    return table


def _symbols(limits: Mapping[str, Any], field: str) -> frozenset[str]:
    symbols = _value(limits, field)
    if isinstance(symbols, str) or not all(isinstance(symbol, str) for symbol in symbols):
        raise LimitsError(field, f"expected a list of symbols, was {symbols!r}")
    return frozenset(symbols)
