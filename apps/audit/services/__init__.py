"""Writing the audit trail. No audit row, no change."""

from __future__ import annotations

from apps.audit.services.checkpoints import publish_checkpoint
from apps.audit.services.reports import build_report, render_report
from apps.audit.services.verification import verify
from apps.audit.services.writer import AuditUnavailable, record, record_denied

__all__ = [
    "AuditUnavailable",
    "build_report",
    "publish_checkpoint",
    "record",
    "record_denied",
    "render_report",
    "verify",
]
