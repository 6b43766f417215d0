"""Public rows of policies: the API's answers and the outbox's messages alike."""

from __future__ import annotations

from typing import Any

from apps.policies.models import LimitOverride, LimitsPublication, RiskLimits


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
        "discarded_by": row.discarded_by,
        "discarded_at": None if row.discarded_at is None else row.discarded_at.isoformat(),
        "discard_reason": row.discard_reason,
        "publication": _newest_publication(row),
        "version": row.version,
    }


def _newest_publication(row: RiskLimits) -> dict[str, Any] | None:
    newest = max(row.publications.all(), key=lambda asked: asked.requested_at, default=None)
    return None if newest is None else publication_row(newest)


def publication_row(row: LimitsPublication) -> dict[str, Any]:
    """A wish to publish limits ``number`` as ``digest`` says; ``consents`` holds who agreed so far, asker first."""
    return {
        "id": str(row.pk),
        "number": row.limits.number,
        "digest": row.digest,
        "state": row.state,
        "people": row.people,
        "consents": [{"name": one.name, "at": one.at.isoformat()} for one in row.consents.all()],
        "requested_by": row.requested_by_name,
        "requested_at": row.requested_at.isoformat(),
        "expires_at": row.expires_at.isoformat(),
        "decided_by": row.decided_by_name,
        "decided_at": None if row.decided_at is None else row.decided_at.isoformat(),
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
