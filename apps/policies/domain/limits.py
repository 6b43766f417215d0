"""The form of risk limits: which fields there are, in which units, and what each may hold.

Amounts are decimal strings in the quote asset unless the name says otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from apps.core.errors import Invalid
from apps.core.money import plain

DECIMALS: Final = 8
"""What the engine's smallest unit of an asset can express."""

Check = Callable[[Any], Any]
"""Returns the canonical value; ValueError with a message that names what was expected and what was given."""


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool | float) or not isinstance(value, str | int):
        raise ValueError(f"expected a decimal string, was {value!r}")  # noqa: TRY004 - one kind of error per field
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"expected a decimal number, was {value!r}") from None
    if not number.is_finite():
        raise ValueError(f"expected a finite number, was {value}")
    return number


def _amount(value: Any) -> str:
    number = _decimal(value)
    if number <= 0:
        raise ValueError(f"expected more than 0, was {value}")
    if number != round(number, DECIMALS):
        raise ValueError(f"expected at most {DECIMALS} decimals, was {value}")
    return plain(number)


def _fraction(value: Any) -> str:
    number = _decimal(value)
    if not 0 < number <= 1:
        raise ValueError(f"expected more than 0 and at most 1, was {value}")
    return plain(number)


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"expected a whole number, was {value!r}")  # noqa: TRY004 - one kind of error per field
        if not low <= value <= high:
            raise ValueError(f"expected {low} to {high}, was {value}")
        return value

    return check


def _by_symbol(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object of symbol to quantity, was {value!r}")  # noqa: TRY004 - as above
    found: dict[str, str] = {}
    for symbol, quantity in sorted(value.items()):
        try:
            found[_symbol(symbol)] = _amount(quantity)
        except ValueError as error:
            raise ValueError(f"{symbol}: {error}") from None
    return found


def _symbols(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list of symbols, was {value!r}")  # noqa: TRY004 - as above
    return sorted({_symbol(symbol) for symbol in value})


def _symbol(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 32 or not value.replace("-", "").isalnum():
        raise ValueError(f"expected a symbol such as BTCUSDT, was {value!r}")
    return value


FIELDS: Final[dict[str, Check]] = {
    "max_order_qty": _by_symbol,
    "max_order_notional": _amount,
    "max_position": _by_symbol,
    "max_gross_notional": _amount,
    "max_open_orders": _whole(1, 1000),
    "collar_bps": _whole(1, 5000),
    "reference_max_age_ms": _whole(50, 600_000),
    "forecast_max_age_bars": _whole(1, 100),
    "min_order_interval_ms": _whole(0, 3_600_000),
    "max_orders_per_second": _whole(1, 1000),
    "burst": _whole(1, 1000),
    "duplicate_window_ms": _whole(0, 600_000),
    "max_daily_loss": _amount,
    "max_drawdown": _amount,
    "restricted": _symbols,
    "snapshot_max_age_s": _whole(2, 86_400),
    "target_gross_fraction": _fraction,
}


def checked(limits: Any) -> dict[str, Any]:
    """``limits`` in canonical form. Raises Invalid with one message per field that is missing, unknown or wrong."""
    if not isinstance(limits, dict):
        raise Invalid(f"expected an object of limits, was {type(limits).__name__}", limits=["expected an object"])
    wrong: dict[str, list[str]] = {}
    good: dict[str, Any] = {}
    for name in limits.keys() - FIELDS.keys():
        wrong[str(name)] = ["there is no such limit"]
    for name, check in FIELDS.items():
        if name not in limits:
            wrong[name] = ["is missing"]
            continue
        try:
            good[name] = check(limits[name])
        except ValueError as error:
            wrong[name] = [str(error)]
    if not wrong and Decimal(good["max_order_notional"]) > Decimal(good["max_gross_notional"]):
        wrong["max_order_notional"] = [f"must not exceed max_gross_notional, which is {good['max_gross_notional']}"]
    if wrong:
        raise Invalid("; ".join(f"{name}: {said[0]}" for name, said in sorted(wrong.items())), **wrong)
    return good


def digest(limits: dict[str, Any]) -> str:
    """SHA-256 in hex over the canonical JSON of checked limits."""
    text = json.dumps(limits, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def default_limits(quantities: dict[str, tuple[str, str]] | None = None) -> dict[str, Any]:
    """Limits for a paper account of 100,000 in the quote asset.

    ``quantities`` maps a symbol to its most per order and most per position in the base asset; a symbol without an
    entry is bounded by the limits on value.
    """
    chosen = quantities or {}
    return checked(
        {
            "max_order_qty": {symbol: order for symbol, (order, _) in chosen.items()},
            "max_order_notional": "10000",
            "max_position": {symbol: position for symbol, (_, position) in chosen.items()},
            "max_gross_notional": "60000",
            "max_open_orders": 20,
            "collar_bps": 100,
            "reference_max_age_ms": 5000,
            "forecast_max_age_bars": 2,
            "min_order_interval_ms": 200,
            "max_orders_per_second": 5,
            "burst": 10,
            "duplicate_window_ms": 1000,
            "max_daily_loss": "2000",
            "max_drawdown": "5000",
            "restricted": [],
            "snapshot_max_age_s": 60,
            "target_gross_fraction": "0.5",
        }
    )
