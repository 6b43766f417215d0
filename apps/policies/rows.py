"""Public rows of policies: the API's answers and the outbox's messages alike."""

from __future__ import annotations

from typing import Any

from apps.policies.models import RiskLimits


def limits_row(row: RiskLimits) -> dict[str, Any]:
    """One version of the limits; ``number`` is what orders refer to, ``version`` is for If-Match."""
    return {
        "number": row.number,
        "state": row.state,
        "limits": row.limits,
        "digest": row.digest,
        "signature": row.signature,
        "note": row.note,
        "created_by": row.created_by,
        "created_at": row.created_at.isoformat(),
        "published_by": row.published_by,
        "published_at": None if row.published_at is None else row.published_at.isoformat(),
        "retired_at": None if row.retired_at is None else row.retired_at.isoformat(),
        "version": row.version,
    }
