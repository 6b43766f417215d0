"""Writing the audit trail. No audit row, no change."""

from __future__ import annotations

from apps.audit.writer import AuditUnavailable, record, record_denied

__all__ = ["AuditUnavailable", "record", "record_denied"]
