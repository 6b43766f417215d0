"""Leave to exceed one named limit, for one scope, up to an amount, until a time.

Only limits with a number can be exceeded; what the desk's state, a halt, a loss or the market says never can. The
control plane signs what two people agreed on (see ``apps.policies``); the gate takes it from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from workers.engine.instruments import Instrument
from workers.engine.risk.limit_fields import LimitsError, atoms_of, integer, lots_of, moment, money_units, raw
from workers.engine.risk.scopes import Place, Scope, ScopeError, ScopeKind, covers, parse_scope
from workers.engine.vocabulary import Reason


class Unit(StrEnum):
    """In what an override's amount is written."""

    MONEY = "amount of the quote asset"
    QUANTITY = "quantity of the base asset"
    COUNT = "whole number"
    BPS = "basis points"


LEVERAGE_BPS: Final = 10_000

OVERRIDABLE: Final[dict[Reason, Unit]] = {
    Reason.QUANTITY_ABOVE_LIMIT: Unit.QUANTITY,
    Reason.POSITION_ABOVE_LIMIT: Unit.QUANTITY,
    Reason.NOTIONAL_ABOVE_LIMIT: Unit.MONEY,
    Reason.GROSS_EXPOSURE_ABOVE_LIMIT: Unit.MONEY,
    Reason.NET_EXPOSURE_ABOVE_LIMIT: Unit.MONEY,
    Reason.CURRENCY_EXPOSURE_ABOVE_LIMIT: Unit.MONEY,
    Reason.VENUE_EXPOSURE_ABOVE_LIMIT: Unit.MONEY,
    Reason.FIRM_EXPOSURE_ABOVE_LIMIT: Unit.MONEY,
    Reason.DESK_EXPOSURE_ABOVE_LIMIT: Unit.MONEY,
    Reason.STRATEGY_EXPOSURE_ABOVE_LIMIT: Unit.MONEY,
    Reason.INSTRUMENT_EXPOSURE_ABOVE_LIMIT: Unit.MONEY,
    Reason.TURNOVER_ABOVE_LIMIT: Unit.MONEY,
    Reason.VAR_ABOVE_LIMIT: Unit.MONEY,
    Reason.OPEN_ORDERS_ABOVE_LIMIT: Unit.COUNT,
    Reason.ORDERS_PER_DAY_ABOVE_LIMIT: Unit.COUNT,
    Reason.CONCENTRATION_ABOVE_LIMIT: Unit.BPS,
    Reason.LEVERAGE_ABOVE_LIMIT: Unit.BPS,
    Reason.PARTICIPATION_ABOVE_LIMIT: Unit.BPS,
    Reason.QUANTITY_ABOVE_RECENT_VOLUME: Unit.BPS,
    Reason.SPREAD_TOO_WIDE: Unit.BPS,
    Reason.PRICE_OUTSIDE_COLLAR: Unit.BPS,
}
"""Limits that may be exceeded with leave, and the unit of the amount."""


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A limit that an order would exceed: which, of which scope, and the value it would come to."""

    reason: Reason
    scope: str
    value: int


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """Leave as the gate uses it: ``amount`` in the unit of the limit (money units, atoms, lots, count, bps)."""

    id: str
    scope: Scope
    reason: Reason
    amount: int
    until: int


def parse_override(given: Mapping[str, Any], instruments: Iterable[Instrument]) -> Override:
    """Convert an approved override: {id, scope, code, amount, until}; LimitsError names the field that is unusable."""
    code = raw(given, "code")
    if code not in Reason.__members__ or Reason(code) not in OVERRIDABLE:
        raise LimitsError("code", f"expected a limit that may be exceeded, was {code!r}")
    try:
        scope = parse_scope(str(raw(given, "scope")))
    except ScopeError as error:
        raise LimitsError("scope", str(error)) from error
    reason = Reason(code)
    return Override(
        id=str(raw(given, "id")),
        scope=scope,
        reason=reason,
        amount=_amount(given, reason, scope, {item.symbol: item for item in instruments}),
        until=moment(raw(given, "until"), "until"),
    )


def _amount(given: Mapping[str, Any], reason: Reason, scope: Scope, known: Mapping[str, Instrument]) -> int:
    value, unit = raw(given, "amount"), OVERRIDABLE[reason]
    if unit is Unit.MONEY:
        return money_units(value, "amount", next((item.quote for item in known.values()), ""))
    if unit is not Unit.QUANTITY:
        return integer(value, "amount")
    instrument = known.get(scope.name) if scope.kind is ScopeKind.INSTRUMENT else None
    if instrument is None:
        raise LimitsError("scope", f"expected an instrument of this venue for a limit on quantity, was {scope}")
    read = atoms_of if reason is Reason.POSITION_ABOVE_LIMIT else lots_of
    return read(instrument, value, "amount")


def excused(hit: Hit, place: Place, overrides: Iterable[Override], now: int) -> Override | None:
    """The override under which an order of ``place`` may exceed the limit all the same; None without one."""
    for override in overrides:
        if (
            override.reason is hit.reason
            and hit.value <= override.amount
            and now < override.until
            and str(override.scope) == hit.scope
            and covers(override.scope, place)
        ):
            return override
    return None
