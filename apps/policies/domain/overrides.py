"""Leave to exceed one limit: its form, its digest, and who may decide on it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

from apps.core.errors import IllegalTransition, Invalid, PermissionRefused
from apps.core.money import plain
from workers.engine.risk.overrides import OVERRIDABLE, Unit
from workers.engine.risk.scopes import Scope, ScopeError, ScopeKind, parse_scope
from workers.engine.vocabulary import Reason

OVERRIDE_FIELDS: Final = ("id", "scope", "code", "amount", "until")
"""What is signed, and what the gate takes."""
LONGEST: Final = timedelta(hours=24)
"""Leave is temporary: what should hold longer is a limit to publish."""
REQUEST_LIVES: Final = timedelta(hours=1)
DECIMALS: Final = 8


def override_digest(given: Mapping[str, Any]) -> str:
    """SHA-256 in hex over the signed fields as canonical JSON."""
    content = {name: str(given[name]) for name in OVERRIDE_FIELDS}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def moment(at: datetime) -> str:
    """A time as it is signed: UTC, to the second."""
    return at.astimezone(UTC).replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")


def checked(*, scope: str, code: str, amount: str, until: datetime, now: datetime) -> tuple[Scope, Reason, str]:
    """Scope, limit and canonical amount of a wish. Raises Invalid with a message per wrong field."""
    wrong: dict[str, list[str]] = {}
    meant, reason, canonical = None, None, ""
    try:
        meant = parse_scope(scope)
    except ScopeError as error:
        wrong["scope"] = [str(error)]
    if code in Reason.__members__ and Reason(code) in OVERRIDABLE:
        reason = Reason(code)
    else:
        wrong["code"] = [f"expected a limit that may be exceeded, was {code!r}; states, halts and losses never may"]
    if not now < until <= now + LONGEST:
        wrong["until"] = [f"expected a time after now and within {LONGEST.total_seconds() / 3600:.0f} hours"]
    if reason is not None:
        try:
            canonical = _amount(amount, OVERRIDABLE[reason])
        except ValueError as error:
            wrong["amount"] = [str(error)]
        if meant is not None and OVERRIDABLE[reason] is Unit.QUANTITY and meant.kind is not ScopeKind.INSTRUMENT:
            wrong["scope"] = [f"expected instrument:<symbol> for a limit on quantity, was {scope}"]
    if wrong or meant is None or reason is None:
        raise Invalid("; ".join(f"{name}: {said[0]}" for name, said in sorted(wrong.items())), **wrong)
    return meant, reason, canonical


def check_grid(scope: Scope, reason: Reason, amount: str, lots: Mapping[str, Decimal]) -> None:
    """Raise Invalid for a quantity of an order that is no whole number of lots on a venue, by lot size by venue.

    The gate of such a venue could not use it. A position may be any amount.
    """
    if reason is not Reason.QUANTITY_ABOVE_LIMIT:
        return
    for venue, lot in sorted(lots.items()):
        if (Fraction(amount) / Fraction(lot)).denominator != 1:
            said = f"expected whole lots of {plain(lot)} of {scope.name} on {venue}, was {amount}"
            raise Invalid(f"amount: {said}", amount=[said])


def _amount(given: str, unit: Unit) -> str:
    try:
        amount = Decimal(given)
    except InvalidOperation:
        raise ValueError(f"expected a decimal number ({unit.value}), was {given!r}") from None
    if not amount.is_finite() or amount <= 0 or amount != round(amount, DECIMALS):
        raise ValueError(f"expected more than 0 with at most {DECIMALS} decimals ({unit.value}), was {given}")
    if unit in (Unit.COUNT, Unit.BPS) and amount != int(amount):
        raise ValueError(f"expected a whole number ({unit.value}), was {given}")
    return plain(amount)


def check_decision(
    *, state: str, requested_by: str, decider: str, requested_at: datetime, until: datetime, now: datetime
) -> None:
    """Raise unless ``decider`` may approve a wish of ``requested_by`` at ``now``."""
    if state != "pending":
        raise IllegalTransition(f"the override is {state} already", state=state)
    if now >= until or now >= requested_at + REQUEST_LIVES:
        raise IllegalTransition("the request ran out of time; ask anew", state="expired")
    if not decider or requested_by == decider:
        raise PermissionRefused("policy wants another person than the one who asked")
