"""What incidents write to the audit trail."""

from __future__ import annotations

from typing import Final

EVENTS: Final[dict[str, str]] = {
    "incidents.incident.opened": "An incident was opened",
    "incidents.incident.acknowledged": "An incident was acknowledged",
    "incidents.incident.resolved": "An incident was resolved",
    "incidents.incident.noted": "A note was added to an incident",
    "incidents.incident.cleared": "The source of an incident cleared",
    "incidents.incident.escalated": "An open incident became more severe",
    "incidents.incident.returned": "The source of an incident failed again",
}
