"""Limits that a published version may leave out: bounds by scope, over a day, over time, against volume, and on risk.

One that is not published bounds nothing. All of them together are None when none is published, so that the gate of a
desk that uses none costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Any, Final

import msgspec

from workers.engine.config import SECOND_NS
from workers.engine.risk.limit_fields import (
    LimitsError,
    flag,
    integer,
    moment,
    money_units,
    names,
    number,
    table,
)
from workers.engine.risk.scopes import Scope, ScopeError, ScopeKind, parse_scope

BPS: Final = 10_000
LEVERAGE_SCALE: Final = 10**4
DEFAULT_VOLUME_WINDOW_S: Final = 300
DEFAULT_EXECUTION_WINDOW_S: Final = 60
SCOPED: Final = frozenset(ScopeKind) - {ScopeKind.ACCOUNT}
FOLLOWED: Final = frozenset({ScopeKind.FIRM, ScopeKind.DESK, ScopeKind.STRATEGY})
"""Profit and the day's counts are followed by strategy; a venue or an instrument has none of its own."""


class ScopeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one scope; None where there is none. Money in money units."""

    scope: Scope
    name: str
    """The scope as text."""
    members: frozenset[str] | None = None
    """Strategies of a desk or strategy scope; None where a scope is not made of strategies."""
    max_order_notional: int | None = None
    max_gross: int | None = None
    max_open_orders: int | None = None
    max_orders_per_day: int | None = None
    max_turnover_per_day: int | None = None
    max_daily_loss: int | None = None
    max_drawdown: int | None = None


class OptionalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. Money in money units of the quote asset, times in ns, shares in basis points."""

    effective_from: int = 0
    expires_at: int = 0
    restricted_venues: frozenset[str] = frozenset()
    market_orders: bool = True
    self_trade_prevention: bool = False
    max_spread_bps: int | None = None
    min_cash: int | None = None
    max_net: int | None = None
    leverage: int | None = None
    """Gross exposure over equity, times ``LEVERAGE_SCALE``."""
    max_concentration_bps: int | None = None
    """Worst-case value of one instrument as a share of equity."""
    currencies: dict[str, int] = {}
    venues: dict[str, int] = {}
    max_orders_per_day: int | None = None
    max_turnover_per_day: int | None = None
    max_repeated_executions: int | None = None
    execution_window_ns: int = DEFAULT_EXECUTION_WINDOW_S * SECOND_NS
    max_order_volume_bps: int | None = None
    max_participation_bps: int | None = None
    volume_window_ns: int = DEFAULT_VOLUME_WINDOW_S * SECOND_NS
    max_var: int | None = None
    var_confidence: float = 0.99
    var_z: float = NormalDist().inv_cdf(0.99)
    """Normal quantile of the confidence."""
    var_horizon_ns: int = 86_400 * SECOND_NS
    var_max_age_ns: int = 3600 * SECOND_NS
    desks: dict[str, frozenset[str]] = {}
    scopes: tuple[ScopeLimits, ...] = ()
    losses: tuple[ScopeLimits, ...] = ()
    """Those of ``scopes`` that bound a loss."""

    @property
    def wants_volume(self) -> bool:
        """True when traded volume has to be followed."""
        return self.max_order_volume_bps is not None or self.max_participation_bps is not None


def _leverage(value: Any, field: str) -> int:
    scaled = number(value, field) * LEVERAGE_SCALE
    if scaled != int(scaled) or scaled == 0:
        raise LimitsError(field, f"expected more than 0 with at most four decimals, was {value}")
    return int(scaled)


def _confidence(value: Any, field: str) -> float:
    found = number(value, field)
    if not 0.5 < found < 1:
        raise LimitsError(field, f"expected more than 0.5 and less than 1, was {value}")
    return float(found)


def _seconds(value: Any, field: str) -> int:
    found = integer(value, field)
    if found < 1:
        raise LimitsError(field, f"expected at least 1 s, was {value}")
    return found * SECOND_NS


_PLAIN: Final[dict[str, tuple[str, Callable[[Any, str], Any]]]] = {
    "effective_from": ("effective_from", moment),
    "expires_at": ("expires_at", moment),
    "restricted_venues": ("restricted_venues", lambda value, field: names(value, field, "venues")),
    "allow_market_orders": ("market_orders", flag),
    "self_trade_prevention": ("self_trade_prevention", flag),
    "max_spread_bps": ("max_spread_bps", integer),
    "max_leverage": ("leverage", _leverage),
    "max_concentration_bps": ("max_concentration_bps", integer),
    "max_orders_per_day": ("max_orders_per_day", integer),
    "max_repeated_executions": ("max_repeated_executions", integer),
    "repeated_execution_window_s": ("execution_window_ns", _seconds),
    "max_order_volume_bps": ("max_order_volume_bps", integer),
    "max_participation_bps": ("max_participation_bps", integer),
    "volume_window_s": ("volume_window_ns", _seconds),
    "var_confidence": ("var_confidence", _confidence),
    "var_horizon_s": ("var_horizon_ns", _seconds),
    "var_max_age_s": ("var_max_age_ns", _seconds),
}
_MONEY: Final = {
    "min_cash": "min_cash",
    "max_net_notional": "max_net",
    "max_turnover_per_day": "max_turnover_per_day",
    "max_var": "max_var",
}
_TABLES: Final = {"max_currency_notional": "currencies", "max_venue_notional": "venues"}
_SCOPE_MONEY: Final = {
    "max_order_notional": "max_order_notional",
    "max_gross_notional": "max_gross",
    "max_turnover_per_day": "max_turnover_per_day",
    "max_daily_loss": "max_daily_loss",
    "max_drawdown": "max_drawdown",
}
_SCOPE_COUNTS: Final = ("max_open_orders", "max_orders_per_day")
NAMES: Final = frozenset({*_PLAIN, *_MONEY, *_TABLES, "desks", "scopes"})
"""All optional limits, by their published names."""
SCOPE_NAMES: Final = frozenset({*_SCOPE_MONEY, *_SCOPE_COUNTS})
FOLLOWED_NAMES: Final = frozenset({"max_daily_loss", "max_drawdown", "max_orders_per_day", "max_turnover_per_day"})


def parse_optional(limits: Mapping[str, Any], quote: str) -> OptionalLimits | None:
    """The optional limits among ``limits``, None when there are none; LimitsError names the field that is unusable."""
    if not NAMES & limits.keys():
        return None
    found: dict[str, Any] = {}
    for field, (name, read) in _PLAIN.items():
        if field in limits:
            found[name] = read(limits[field], field)
    for field, name in _MONEY.items():
        if field in limits:
            found[name] = money_units(limits[field], field, quote)
    for field, name in _TABLES.items():
        entries = table(limits, field) if field in limits else {}
        found[name] = {key: money_units(value, f"{field}.{key}", quote) for key, value in entries.items()}
    if "desks" in limits:
        listed = table(limits, "desks").items()
        found["desks"] = {desk: names(members, f"desks.{desk}", "strategies") for desk, members in listed}
    scopes = table(limits, "scopes") if "scopes" in limits else {}
    desks = found.get("desks", {})
    found["scopes"] = tuple(_scope(name, fields, quote, desks) for name, fields in sorted(scopes.items()))
    found["losses"] = tuple(
        bound for bound in found["scopes"] if bound.max_daily_loss is not None or bound.max_drawdown is not None
    )
    if "var_confidence" in found:
        found["var_z"] = NormalDist().inv_cdf(found["var_confidence"])
    if found.get("expires_at") and found["expires_at"] <= found.get("effective_from", 0):
        raise LimitsError("expires_at", "expected a time after effective_from")
    return OptionalLimits(**found)


def _scope(name: str, fields: Any, quote: str, desks: Mapping[str, frozenset[str]]) -> ScopeLimits:
    place = f"scopes.{name}"
    try:
        scope = parse_scope(name, SCOPED)
    except ScopeError as error:
        raise LimitsError(place, str(error)) from error
    if not isinstance(fields, Mapping) or not fields:
        raise LimitsError(place, f"expected an object of limits, was {fields!r}")
    unknown = sorted(fields.keys() - SCOPE_NAMES)
    if unknown:
        raise LimitsError(f"{place}.{unknown[0]}", f"expected one of {', '.join(sorted(SCOPE_NAMES))}")
    if FOLLOWED_NAMES & fields.keys() and scope.kind not in FOLLOWED:
        raise LimitsError(
            place, f"expected no limit on loss, or over a day, for {scope.kind.value}: those are followed by strategy"
        )
    found: dict[str, int] = {
        attribute: money_units(fields[field], f"{place}.{field}", quote)
        for field, attribute in _SCOPE_MONEY.items()
        if field in fields
    }
    found |= {field: integer(fields[field], f"{place}.{field}") for field in _SCOPE_COUNTS if field in fields}
    members = desks.get(scope.name, frozenset()) if scope.kind is ScopeKind.DESK else None
    if scope.kind is ScopeKind.STRATEGY:
        members = frozenset({scope.name})
    return ScopeLimits(scope=scope, name=name, members=members, **found)
