"""Public rows of policies: the API's answers and the outbox's messages alike."""

from __future__ import annotations

from typing import Any

from apps.policies.models import LimitOverride, RiskLimits


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


def override_key(row: LimitOverride) -> str:
    """Key of an override in topic ``policies``, beside the numbers of limits."""
    return f"override:{row.pk}"


def override_row(row: LimitOverride) -> dict[str, Any]:
    """One leave to exceed a limit; topic ``policies``, key ``override:<id>``."""
    return {
        "object": "override",
        "id": str(row.id),
        "scope": row.scope,
        "code": row.code,
        "amount": row.amount,
        "until": row.until.isoformat(),
        "reason": row.reason,
        "state": row.state,
        "requested_by": row.requested_by_name,
        "requested_at": row.requested_at.isoformat(),
        "decided_by": row.decided_by_name,
        "decided_at": None if row.decided_at is None else row.decided_at.isoformat(),
        "ended_by": row.ended_by_name,
        "ended_at": None if row.ended_at is None else row.ended_at.isoformat(),
        "digest": row.digest,
        "signature": row.signature,
        "version": row.version,
    }
