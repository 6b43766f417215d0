"""Reading policies: what holds now."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet

from apps.accounts.permissions import Capability, require
from apps.core.context import Context
from apps.core.errors import NotFound
from apps.policies.choices import LimitsState, OverrideState
from apps.policies.domain.overrides import moment
from apps.policies.domain.publications import ACTION
from apps.policies.models import ApprovalRule, LimitOverride, LimitsPublication, RiskLimits
from apps.policies.modes import desk_mode

DEFAULT_PEOPLE: Final[dict[tuple[str, str], int]] = {
    ("trading.resume", "paper"): 1,
    ("trading.resume", "live"): 2,
    ("trading.adopt_balance", "paper"): 1,
    ("trading.adopt_balance", "live"): 2,
    (ACTION, "paper"): 1,
    (ACTION, "live"): 2,
}
"""Holds where no row says otherwise; an action that is not listed needs two people."""


def may_view(ctx: Context, what: str) -> None:
    """Return when the caller may read policies; PermissionRefused, which is recorded, otherwise."""
    require(ctx, Capability.POLICY_VIEW, object_type=what, object_id="")


def active_limits() -> dict[str, Any] | None:
    """The limits that hold now: {version, digest, limits, signature}; None before any were published."""
    row = RiskLimits.objects.filter(state=LimitsState.ACTIVE).first()
    if row is None:
        return None
    return {"version": row.number, "digest": row.digest, "limits": row.limits, "signature": row.signature}


def desk_names() -> list[str]:
    """Desks that the limits in force name."""
    active = active_limits()
    return sorted(active["limits"].get("desks", {})) if active is not None else []


def limits_versions() -> QuerySet[RiskLimits]:
    """All versions with what was asked for about each, newest first."""
    return RiskLimits.objects.prefetch_related("publications__consents").order_by("-number")


def newest_limits(count: int) -> list[RiskLimits]:
    """The newest versions and the one in force, which may be older than them."""
    newest = list(limits_versions()[:count])
    held = limits_versions().filter(state=LimitsState.ACTIVE).first()
    return newest if held is None or held in newest else [*newest, held]


def publications() -> QuerySet[LimitsPublication]:
    """All wishes to publish limits that need more than one person, newest first."""
    return LimitsPublication.objects.select_related("limits").prefetch_related("consents")


def get_limits(number: int) -> RiskLimits:
    """One version; NotFound."""
    row = RiskLimits.objects.filter(number=number).first()
    if row is None:
        raise NotFound(f"there are no risk limits of version {number}")
    return row


def overrides() -> QuerySet[LimitOverride]:
    """All wishes to exceed a limit and what became of them, newest first."""
    return LimitOverride.objects.order_by("-requested_at", "-id")


def active_overrides(now: datetime) -> list[dict[str, Any]]:
    """What the gate lets orders exceed now: {id, scope, code, amount, until, digest, signature}, by id."""
    held = LimitOverride.objects.filter(state=OverrideState.APPROVED, until__gt=now).order_by("id")
    return [
        {
            "id": str(row.pk),
            "scope": row.scope,
            "code": row.code,
            "amount": row.amount,
            "until": moment(row.until),
            "digest": row.digest,
            "signature": row.signature,
        }
        for row in held
    ]


def approvals_needed(action: str, mode: str) -> int:
    """How many people ``action`` needs in ``mode``, the one who asks included."""
    rule = ApprovalRule.objects.filter(action=action, mode=mode).first()
    return rule.people if rule is not None else DEFAULT_PEOPLE.get((action, mode), 2)


def publishing_rule() -> dict[str, Any]:
    """How many people publishing limits takes now: {mode, people}."""
    mode = desk_mode()
    return {"mode": mode, "people": approvals_needed(ACTION, mode)}
