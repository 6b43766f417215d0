"""What audit writes to the audit trail about itself."""

from __future__ import annotations

from typing import Final

EVENTS: Final[dict[str, str]] = {
    "audit.trail.verified": "The whole trail was verified and found intact",
    "audit.trail.broken": "The whole trail was verified and found altered",
    "audit.report.created": "An audit report was made",
    "audit.report.downloaded": "An audit report was downloaded",
}
