"""The form of the limits that a version may leave out: in which units, and what each may hold."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from apps.policies.domain.fields import Check, amount, by_name, decimal, fraction, names, text_name, whole
from workers.engine.risk.optional_limits import FOLLOWED, FOLLOWED_NAMES, SCOPE_NAMES, SCOPED
from workers.engine.risk.scopes import ScopeError, parse_scope

COUNTS: Final = {"max_open_orders", "max_orders_per_day"}


def _moment(value: Any) -> str:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError(f"expected a time with its zone such as 2026-01-31T00:00:00Z, was {value!r}")
    return found.astimezone(UTC).replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, was {value!r}")  # noqa: TRY004 - one kind of error per field
    return value


def _leverage(value: Any) -> str:
    found = decimal(value)
    if not 0 < found <= 1000 or found != round(found, 4):
        raise ValueError(f"expected more than 0 and at most 1000 with at most 4 decimals, was {value}")
    return f"{found.normalize():f}"


def _confidence(value: Any) -> str:
    found = fraction(value)
    if not Decimal("0.5") < Decimal(found) < 1:
        raise ValueError(f"expected more than 0.5 and less than 1, was {value}")
    return found


def _desks(value: Any) -> dict[str, list[str]]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object of desk to strategies, was {value!r}")  # noqa: TRY004 - as above
    return {text_name(desk): names(members) for desk, members in sorted(value.items())}


def _scopes(value: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object of scope to limits, was {value!r}")  # noqa: TRY004 - as above
    return {name: _scope(name, fields) for name, fields in sorted(value.items())}


def _scope(name: str, fields: Any) -> dict[str, Any]:
    try:
        scope = parse_scope(name, SCOPED)
    except ScopeError as error:
        raise ValueError(str(error)) from None
    if not isinstance(fields, dict) or not fields:
        raise ValueError(f"{name}: expected an object of limits, was {fields!r}")
    good: dict[str, Any] = {}
    for field, value in sorted(fields.items()):
        if field not in SCOPE_NAMES:
            raise ValueError(f"{name}.{field}: expected one of {', '.join(sorted(SCOPE_NAMES))}")
        if field in FOLLOWED_NAMES and scope.kind not in FOLLOWED:
            raise ValueError(f"{name}.{field}: loss and a day's counts are followed for firm, desk and strategy alone")
        try:
            good[field] = whole(1, 1_000_000)(value) if field in COUNTS else amount(value)
        except ValueError as error:
            raise ValueError(f"{name}.{field}: {error}") from None
    return good


OPTIONAL: Final[dict[str, tuple[Check, str]]] = {
    "effective_from": (_moment, "Time from which these limits hold; before it every order is refused."),
    "expires_at": (_moment, "Time at which these limits end; from then on every order is refused."),
    "restricted_venues": (names, "Venues on which nothing may be ordered."),
    "allow_market_orders": (_flag, "Whether a market order may add risk."),
    "self_trade_prevention": (_flag, "Whether an order that could trade with our own is refused."),
    "max_spread_bps": (whole(1, 10_000), "Widest spread at which risk may be added, in basis points of the middle."),
    "min_cash": (amount, "Cash in the quote asset that must stay free after any buy."),
    "max_net_notional": (amount, "Buys less sells over all instruments, open orders at their worst."),
    "max_leverage": (_leverage, "Gross exposure as a multiple of equity."),
    "max_concentration_bps": (whole(1, 100_000), "One instrument's worst case in basis points of equity."),
    "max_currency_notional": (by_name, "Worst case by base asset."),
    "max_venue_notional": (by_name, "Worst case by venue."),
    "max_orders_per_day": (whole(1, 1_000_000), "Orders since 00:00 UTC."),
    "max_turnover_per_day": (amount, "Value traded since 00:00 UTC, open orders at their worst."),
    "max_repeated_executions": (
        whole(1, 1000),
        "Times a strategy may be applied within the window; then it is halted.",
    ),
    "repeated_execution_window_s": (whole(1, 86_400), "Window of repeated executions in seconds; 60 when left out."),
    "max_order_volume_bps": (whole(1, 1_000_000), "One order in basis points of what the market traded in the window."),
    "max_participation_bps": (whole(1, 10_000), "Our share of what the market traded in the window, in basis points."),
    "volume_window_s": (whole(5, 3600), "Window of the market's volume in seconds; 300 when left out."),
    "max_var": (amount, "Parametric value at risk of the worst-case book with the order."),
    "var_confidence": (_confidence, "Confidence of the value at risk; 0.99 when left out."),
    "var_horizon_s": (whole(60, 31_536_000), "Horizon of the value at risk in seconds; a day when left out."),
    "var_max_age_s": (whole(1, 604_800), "Oldest covariance that is trusted, in seconds; an hour when left out."),
    "desks": (_desks, "Which strategies make up each desk."),
    "scopes": (_scopes, "Limits by scope: firm, desk:, strategy:, venue: or instrument:<name>."),
}
"""Check and description by name."""
