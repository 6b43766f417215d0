"""Public rows of rebalance runs."""

from __future__ import annotations

from typing import Any

from apps.trading.models import RebalanceRun
from apps.trading.rows import amount, stamp


def rebalance_row(run: RebalanceRun) -> dict[str, Any]:
    """One run; ``outcome`` is empty until it is over."""
    return {
        "id": str(run.pk),
        "venue": run.venue_id,
        "state": run.state,
        "method": run.method,
        "policy": run.policy,
        "policy_digest": run.policy_digest,
        "inputs_digest": run.inputs_digest,
        "inputs": run.inputs,
        "outcome": run.outcome,
        "cost": amount(run.cost),
        "why": run.why,
        "requested_by": run.requested_by_name,
        "requested_at": stamp(run.requested_at),
        "started_at": stamp(run.started_at),
        "finished_at": stamp(run.finished_at),
        "version": run.version,
    }
