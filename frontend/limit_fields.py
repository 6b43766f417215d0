"""How each risk limit is typed in: its kind, unit and group, and which limits leave can be given for."""

from __future__ import annotations

import json
from typing import Final

from apps.policies.domain import optional_limits as optional
from apps.policies.domain.fields import Check, amount, by_name, by_symbol, fraction, names, symbols
from apps.policies.domain.limits import FIELDS, described
from workers.engine.risk.overrides import OVERRIDABLE

KINDS: Final[dict[Check, str]] = {
    amount: "decimal",
    fraction: "decimal",
    optional.OPTIONAL["max_leverage"][0]: "decimal",
    optional.OPTIONAL["var_confidence"][0]: "decimal",
    by_symbol: "amounts",
    by_name: "amounts",
    symbols: "names",
    names: "names",
    optional.OPTIONAL["allow_market_orders"][0]: "flag",
    optional.OPTIONAL["effective_from"][0]: "moment",
    optional.OPTIONAL["desks"][0]: "desks",
    optional.OPTIONAL["scopes"][0]: "scopes",
}
"""What is not here is a whole number."""

UNITS: Final = {
    "_bps": "bps",
    "_ms": "ms",
    "_s": "s",
    "_bars": "bars",
    "_per_second": "orders/s",
    "max_order_qty": "base asset",
    "max_position": "base asset",
    "max_leverage": "times equity",
    "fraction": "0 to 1",
    "confidence": "0.5 to 1",
    "max_open_orders": "orders",
    "max_orders_per_day": "orders",
    "burst": "orders",
    "max_repeated_executions": "times",
}
"""Unit by the end of a name; amounts without one are of the quote asset."""

GROUPS: Final = (
    ("Size and exposure", ("max_order", "max_position", "max_gross", "max_net", "max_lever", "max_conc", "max_curr",
                           "max_venue", "min_cash", "target_")),
    ("Losses and value at risk", ("max_daily", "max_drawdown", "max_var", "var_")),
    ("Prices and freshness", ("collar", "reference", "forecast", "max_spread", "snapshot", "effective", "expires")),
    ("Rate and volume", ("max_open", "min_order_interval", "max_orders_per", "burst", "duplicate", "max_turnover",
                         "max_repeated", "repeated", "max_order_volume", "max_participation", "volume")),
    ("What may be ordered, and by whom", ("restricted", "allow", "self_trade", "desks", "scopes")),
)  # fmt: skip
"""Title, and how the names in it begin. The longest beginning that fits decides."""


def unit_of(name: str, kind: str) -> str:
    found = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    return found or ("quote asset" if kind in ("decimal", "amounts") else "")


def group_of(name: str) -> str:
    fits = [(len(start), title) for title, starts in GROUPS for start in starts if name.startswith(start)]
    return max(fits)[1]


def fields() -> str:
    """Every limit as JSON: name, group, kind, unit, whether it is required, and what it bounds."""
    checks = {**FIELDS, **{name: check for name, (check, _) in optional.OPTIONAL.items()}}
    rows = []
    for row in described():
        kind = KINDS.get(checks[row["name"]], "whole")
        rows.append({**row, "kind": kind, "unit": unit_of(row["name"], kind), "group": group_of(row["name"])})
    order = [title for title, _ in GROUPS]
    return json.dumps(sorted(rows, key=lambda row: order.index(row["group"])))


def codes() -> str:
    """Limits that may be exceeded with leave, as JSON: reason code and the unit of the amount."""
    return json.dumps([{"code": code.value, "unit": unit.value} for code, unit in sorted(OVERRIDABLE.items())])
