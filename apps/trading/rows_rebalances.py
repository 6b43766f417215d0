"""Public rows of rebalance runs, of the orders that came of them, and of standing policies.

On the live topic ``rebalances`` each of the three is an object of its own, because each has a version of its own; the
API's answer on a run holds its execution.
"""

from __future__ import annotations

from typing import Any

from apps.core.money import plain
from apps.trading.models import LegState, RebalanceExecution, RebalanceLeg, RebalanceRun, RebalanceSchedule
from apps.trading.rows import amount, stamp


def rebalance_row(run: RebalanceRun) -> dict[str, Any]:
    """One run; ``outcome`` is empty until it is over, ``execution`` null until its trades were approved."""
    return {**_run_row(run), "execution": execution_row(run.execution) if hasattr(run, "execution") else None}


def _run_row(run: RebalanceRun) -> dict[str, Any]:
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
        "schedule": None if run.schedule_id is None else str(run.schedule_id),
        "requested_by": run.requested_by_name,
        "requested_at": stamp(run.requested_at),
        "started_at": stamp(run.started_at),
        "finished_at": stamp(run.finished_at),
        "version": run.version,
    }


def execution_row(execution: RebalanceExecution) -> dict[str, Any]:
    """What became of an approved proposal, leg by leg."""
    return {
        "id": str(execution.pk),
        "state": execution.state,
        "digest": execution.digest,
        "reason": execution.reason,
        "approved_by": execution.approved_by_name,
        "approved_at": stamp(execution.approved_at),
        "cancel_reason": execution.cancel_reason,
        "cancel_by": execution.cancel_by,
        "finished_at": stamp(execution.finished_at),
        "why": execution.why,
        "legs": [leg_row(leg) for leg in execution.legs.all()],
        "version": execution.version,
    }


def leg_row(leg: RebalanceLeg) -> dict[str, Any]:
    """One approved trade; ``filled_quantity`` as the fills of its parent order say."""
    return {
        "symbol": leg.symbol,
        "side": leg.side,
        "quantity": plain(leg.quantity),
        "limit_price": plain(leg.limit_price),
        "state": leg.state,
        "sent_quantity": amount(leg.sent_quantity),
        "filled_quantity": "0" if leg.parent is None else plain(leg.parent.filled_quantity),
        "parent_id": leg.parent_id,
        "why": leg.why,
    }


def schedule_row(schedule: RebalanceSchedule) -> dict[str, Any]:
    """One standing policy; ``active`` until it was ended."""
    return {
        "id": str(schedule.pk),
        "venue": schedule.venue_id,
        "active": schedule.ended_at is None,
        "policy": schedule.policy,
        "policy_digest": schedule.policy_digest,
        "reason": schedule.reason,
        "set_by": schedule.set_by_name,
        "set_at": stamp(schedule.set_at),
        "next_at": stamp(schedule.next_at) if schedule.ended_at is None else None,
        "last_run": None if schedule.last_run_id is None else str(schedule.last_run_id),
        "problem": schedule.problem,
        "ended_by": schedule.ended_by,
        "ended_at": stamp(schedule.ended_at),
        "ended_reason": schedule.ended_reason,
        "version": schedule.version,
    }


Pair = tuple[str, dict[str, Any]]
"""Key and row of one object on the live topic."""


def live_run(run: RebalanceRun) -> Pair:
    """A run without its execution, which comes as an object that names it."""
    return str(run.pk), {"object": "run", **_run_row(run)}


def live_execution(execution: RebalanceExecution) -> Pair:
    """An execution with its legs; what is filled of one that works is null: its parent order says that."""
    row = {"object": "execution", "run": str(execution.run_id), "venue": execution.venue_id, **execution_row(execution)}
    for leg in row["legs"]:
        if leg["state"] == LegState.WORKING:
            leg["filled_quantity"] = None
    return f"execution:{execution.pk}", row


def live_schedule(schedule: RebalanceSchedule) -> Pair:
    return f"schedule:{schedule.pk}", {"object": "schedule", **schedule_row(schedule)}
