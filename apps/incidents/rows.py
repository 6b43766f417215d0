"""Public rows of incidents: the API's answers and the outbox's messages alike."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.incidents.models import Incident, TimelineEntry


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def timeline_row(entry: TimelineEntry) -> dict[str, Any]:
    """One thing that happened."""
    return {"at": _stamp(entry.at), "kind": entry.kind, "by": entry.by, "text": entry.text}


def incident_row(incident: Incident) -> dict[str, Any]:
    """One incident with its whole timeline, oldest first."""
    return {
        "id": str(incident.pk),
        "number": incident.number,
        "kind": incident.kind,
        "fingerprint": incident.fingerprint,
        "severity": incident.severity,
        "title": incident.title,
        "detail": incident.detail,
        "source": incident.source,
        "evidence": incident.evidence,
        "state": incident.state,
        "count": incident.count,
        "opened_at": _stamp(incident.opened_at),
        "last_seen_at": _stamp(incident.last_seen_at),
        "source_cleared_at": _stamp(incident.source_cleared_at),
        "acknowledged_by": incident.acknowledged_by,
        "acknowledged_at": _stamp(incident.acknowledged_at),
        "resolved_by": incident.resolved_by,
        "resolved_at": _stamp(incident.resolved_at),
        "timeline": [timeline_row(entry) for entry in incident.timeline.all()],
        "version": incident.version,
    }
