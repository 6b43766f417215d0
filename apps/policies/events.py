"""What policies write to the audit trail."""

from __future__ import annotations

from typing import Final

EVENTS: Final[dict[str, str]] = {
    "policies.limits.drafted": "A draft of risk limits was made",
    "policies.limits.edited": "A draft of risk limits was changed",
    "policies.limits.published": "Risk limits were published and hold from now on",
    "policies.limits.discarded": "A draft of risk limits was thrown away",
    "policies.publication.requested": "One person asked to publish risk limits; others must consent",
    "policies.publication.consented": "A person consented to publishing risk limits; more must",
    "policies.publication.refused": "Somebody who had consented already wanted to consent to publishing again",
    "policies.publication.rejected": "A request to publish risk limits was refused or withdrawn",
    "policies.publication.expired": "A request to publish risk limits ran out of time",
    "policies.override.requested": "Leave to exceed a limit was asked for",
    "policies.override.approved": "Leave to exceed a limit was given by another person",
    "policies.override.rejected": "Leave to exceed a limit was refused",
    "policies.override.revoked": "Leave to exceed a limit was taken back",
    "policies.override.expired": "Leave to exceed a limit, or the request for it, ran out",
    "policies.approval.set": "The number of people an action needs was set",
}
