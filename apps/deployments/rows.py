"""Public rows of deployments: the API's answers and the outbox's messages alike."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.deployments.domain.shares import plain_share
from apps.deployments.domain.states import allowed
from apps.deployments.models import Release, Run, Step


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def release_row(release: Release) -> dict[str, Any]:
    """One release, by digest."""
    return {
        "id": str(release.pk),
        "number": release.number,
        "strategy": release.strategy,
        "params": release.params,
        "model_digest": release.model_digest,
        "limits_version": release.limits_version,
        "limits_digest": release.limits_digest,
        "instruments": release.instruments,
        "interval_ns": release.interval_ns,
        "capital_share": None if release.capital_share is None else plain_share(release.capital_share),
        "config_hash": release.config_hash,
        "digest": release.digest,
        "note": release.note,
        "created_by": release.created_by,
        "created_at": _stamp(release.created_at),
    }


def step_row(step: Step) -> dict[str, Any]:
    """One check with its evidence."""
    return {
        "name": step.name,
        "state": step.state,
        "detail": step.detail,
        "evidence": step.evidence,
        "done_at": _stamp(step.done_at),
    }


def run_row(run: Run) -> dict[str, Any]:
    """One run with its steps and the commands that are possible now."""
    return {
        "id": str(run.pk),
        "number": run.number,
        "release": str(run.release_id),
        "release_number": run.release.number,
        "venue": run.venue_id,
        "environment": run.environment,
        "state": run.state,
        "detail": run.detail,
        "plan": run.plan,
        "actions": sorted(allowed(run.state)),
        "requested_by": run.requested_by,
        "created_at": _stamp(run.created_at),
        "changed_at": _stamp(run.changed_at),
        "started_at": _stamp(run.started_at),
        "healthy_at": _stamp(run.healthy_at),
        "ended_at": _stamp(run.ended_at),
        "stop_reason": run.stop_reason,
        "steps": [step_row(step) for step in run.steps.all()],
        "version": run.version,
    }
