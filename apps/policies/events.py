"""What policies write to the audit trail."""

from __future__ import annotations

from typing import Final

EVENTS: Final[dict[str, str]] = {
    "policies.limits.drafted": "A draft of risk limits was made",
    "policies.limits.edited": "A draft of risk limits was changed",
    "policies.limits.published": "Risk limits were published and hold from now on",
    "policies.override.requested": "Leave to exceed a limit was asked for",
    "policies.override.approved": "Leave to exceed a limit was given by another person",
    "policies.override.rejected": "Leave to exceed a limit was refused",
    "policies.override.revoked": "Leave to exceed a limit was taken back",
    "policies.override.expired": "Leave to exceed a limit, or the request for it, ran out",
    "policies.approval.set": "The number of people an action needs was set",
}
