"""Publishing limits by several people: what a code is given for, and who may consent. Pure."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta
from typing import Final

from apps.core.errors import IllegalTransition, PermissionRefused

ACTION: Final = "policies.publish"
REQUEST_LIVES: Final = timedelta(hours=1)


def meant(number: int, digest: str) -> str:
    """What a fresh code for publishing is given for: this version with exactly this content."""
    return f"{number}:{digest}"


def check_consent(
    *, state: str, asked: str, digest: str, consented: Container[str], person: str, expires_at: datetime, now: datetime
) -> None:
    """Raise unless ``person`` may consent at ``now`` to publishing what was ``asked`` for, now at ``digest``."""
    if state != "pending":
        raise IllegalTransition(f"the request is {state} already", state=state)
    if now >= expires_at:
        raise IllegalTransition(f"the request ran out of time at {expires_at.isoformat()}; ask anew", state="expired")
    if asked != digest:
        raise IllegalTransition("the draft is not what was asked for any more; ask anew", state="changed")
    if not person or person in consented:
        raise PermissionRefused("policy wants another person than those who consented already")
