"""The form of risk limits: which fields there are, in which units, and what each may hold.

Amounts are decimal strings in the quote asset unless the name says otherwise.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any, Final

from apps.core.errors import Invalid
from apps.policies.domain.fields import Check, amount, by_symbol, fraction, symbols, whole
from apps.policies.domain.optional_limits import OPTIONAL

FIELDS: Final[dict[str, Check]] = {
    "max_order_qty": by_symbol,
    "max_order_notional": amount,
    "max_position": by_symbol,
    "max_gross_notional": amount,
    "max_open_orders": whole(1, 1000),
    "collar_bps": whole(1, 5000),
    "reference_max_age_ms": whole(50, 600_000),
    "forecast_max_age_bars": whole(1, 100),
    "min_order_interval_ms": whole(0, 3_600_000),
    "max_orders_per_second": whole(1, 1000),
    "burst": whole(1, 1000),
    "duplicate_window_ms": whole(0, 600_000),
    "max_daily_loss": amount,
    "max_drawdown": amount,
    "restricted": symbols,
    "snapshot_max_age_s": whole(2, 86_400),
    "target_gross_fraction": fraction,
}


def checked(limits: Any) -> dict[str, Any]:
    """``limits`` in canonical form. Raises Invalid with one message per field that is missing, unknown or wrong."""
    if not isinstance(limits, dict):
        raise Invalid(f"expected an object of limits, was {type(limits).__name__}", limits=["expected an object"])
    wrong: dict[str, list[str]] = {}
    good: dict[str, Any] = {}
    checks = {**FIELDS, **{name: check for name, (check, _) in OPTIONAL.items() if name in limits}}
    for name in limits.keys() - checks.keys():
        wrong[str(name)] = ["there is no such limit"]
    for name, check in checks.items():
        if name not in limits:
            wrong[name] = ["is missing"]
            continue
        try:
            good[name] = check(limits[name])
        except ValueError as error:
            wrong[name] = [str(error)]
    if not wrong and good.get("expires_at", "~") <= good.get("effective_from", ""):
        wrong["expires_at"] = ["must be after effective_from"]
    if not wrong and Decimal(good["max_order_notional"]) > Decimal(good["max_gross_notional"]):
        wrong["max_order_notional"] = [f"must not exceed max_gross_notional, which is {good['max_gross_notional']}"]
    if wrong:
        raise Invalid("; ".join(f"{name}: {said[0]}" for name, said in sorted(wrong.items())), **wrong)
    return good


_WORDS: Final[dict[str, str]] = {
    "max_order_qty": "Quantity of one order by symbol, in the base asset.",
    "max_order_notional": "Value of one order.",
    "max_position": "Position by symbol with all open orders of a side, in the base asset.",
    "max_gross_notional": "Sum of worst cases over all instruments.",
    "max_open_orders": "Orders that may be open at once.",
    "collar_bps": "Distance of a price from the reference, in basis points.",
    "reference_max_age_ms": "Age of a price that orders are judged by, in milliseconds.",
    "forecast_max_age_bars": "Age of a forecast that is acted on, in its bars.",
    "min_order_interval_ms": "Time between two orders of an instrument, in milliseconds.",
    "max_orders_per_second": "Orders per second, sustained.",
    "burst": "Orders that may come at once.",
    "duplicate_window_ms": "Time in which the same order is a duplicate, in milliseconds.",
    "max_daily_loss": "Loss since 00:00 UTC at which trading halts.",
    "max_drawdown": "Loss from the highest profit at which trading halts.",
    "restricted": "Instruments that may not be ordered.",
    "snapshot_max_age_s": "Time without the control plane's word after which these limits are too old, in seconds.",
    "target_gross_fraction": "Share of the equity that strategies aim to use.",
}


def described() -> list[dict[str, Any]]:
    """Every limit there is: name, whether it is required, and what it bounds in words."""
    required = [{"name": name, "required": True, "text": _WORDS[name]} for name in FIELDS]
    return required + [{"name": name, "required": False, "text": text} for name, (_, text) in OPTIONAL.items()]


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
