"""What policies write to the audit trail."""

from __future__ import annotations

from typing import Final

EVENTS: Final[dict[str, str]] = {
    "policies.limits.drafted": "A draft of risk limits was made",
    "policies.limits.edited": "A draft of risk limits was changed",
    "policies.limits.published": "Risk limits were published and hold from now on",
    "policies.approval.set": "The number of people an action needs was set",
}
