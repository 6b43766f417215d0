"""What deployments write to the audit trail."""

from __future__ import annotations

from typing import Final

EVENTS: Final[dict[str, str]] = {
    "deployments.release.created": "A release was made",
    "deployments.run.requested": "A run was requested",
    "deployments.run.validating": "A run began its validation",
    "deployments.run.starting": "A run passed validation and was sent to the execution worker",
    "deployments.run.running": "The execution worker took up a run",
    "deployments.run.healthy": "A run was found healthy",
    "deployments.run.stopping": "A run was ordered to stop",
    "deployments.run.stopped": "A run stopped",
    "deployments.run.failed": "A run failed",
}
