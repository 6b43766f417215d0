"""Reading policies: what holds now."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import QuerySet

from apps.accounts.permissions import Capability, require
from apps.core.context import Context
from apps.core.errors import NotFound
from apps.policies.choices import LimitsState
from apps.policies.models import ApprovalRule, RiskLimits

DEFAULT_PEOPLE: Final[dict[tuple[str, str], int]] = {
    ("trading.resume", "paper"): 1,
    ("trading.resume", "live"): 2,
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


def limits_versions() -> QuerySet[RiskLimits]:
    """All versions, newest first."""
    return RiskLimits.objects.order_by("-number")


def get_limits(number: int) -> RiskLimits:
    """One version; NotFound."""
    row = RiskLimits.objects.filter(number=number).first()
    if row is None:
        raise NotFound(f"there are no risk limits of version {number}")
    return row


def approvals_needed(action: str, mode: str) -> int:
    """How many people ``action`` needs in ``mode``, the one who asks included."""
    rule = ApprovalRule.objects.filter(action=action, mode=mode).first()
    return rule.people if rule is not None else DEFAULT_PEOPLE.get((action, mode), 2)
