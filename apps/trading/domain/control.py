"""Halting and resuming as plans: pure decisions, made on values read under lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apps.core.errors import IllegalTransition, Invalid, PermissionRefused
from workers.engine.vocabulary import TradingState

REASON_LIMIT: Final = 500
RESUME_REQUEST_LIVES: Final = timedelta(minutes=15)


def checked_reason(reason: str) -> str:
    """The reason, trimmed; Invalid when there is none or it is longer than a column."""
    text = " ".join(reason.split())
    if not text:
        raise Invalid("say why: the reason must not be empty", field="reason")
    if len(text) > REASON_LIMIT:
        raise Invalid(f"expected a reason of at most {REASON_LIMIT} characters, was {len(text)}", field="reason")
    return text


def plan_halt(*, desired: str) -> bool:
    """Whether the halt changes anything; halting what is halted is never an error."""
    return desired != TradingState.HALTED


@dataclass(frozen=True)
class ResumePlan:
    """``now`` is false when other people must approve first; ``approvals_needed`` counts the requester."""

    now: bool
    approvals_needed: int


def plan_resume(*, desired: str, approvals_needed: int) -> ResumePlan:
    """What a wish to resume leads to. Raises IllegalTransition unless trading is halted."""
    if desired != TradingState.HALTED:
        raise IllegalTransition(f"trading is {desired}, there is nothing to resume", state=desired)
    return ResumePlan(now=approvals_needed <= 1, approvals_needed=approvals_needed)


def check_approval(*, state: str, requested_by: str, approver: str, expires_at: datetime, now: datetime) -> None:
    """Raise unless ``approver`` may approve a request of ``requested_by`` at ``now``."""
    if state != "pending":
        raise IllegalTransition(f"the request is {state} already", state=state)
    if now >= expires_at:
        raise IllegalTransition(f"the request ran out of time at {expires_at.isoformat()}; ask anew", state="expired")
    if requested_by == approver:
        raise PermissionRefused("policy wants another person than the one who asked")
