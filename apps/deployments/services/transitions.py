"""The one place where a run changes state: checked, audited and published together."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import Context
from apps.core.dispatch import send_after_commit
from apps.core.ids import new_id
from apps.deployments.choices import RunState
from apps.deployments.domain.states import FINAL, check_transition
from apps.deployments.models import Run, TradedInstrument
from apps.deployments.rows import run_row

PLANNED: Final = "gekko.deployments.advance"
OVERDUE_AFTER: Final = timedelta(seconds=15)
"""A booked step that has not been taken by then was lost; the auditor takes it."""
UNSCHEDULED: Final = FINAL | {"healthy"}


def move(ctx: Context, run: Run, state: RunState, detail: str) -> None:
    """Take a locked ``run`` to ``state`` and tell everybody; raises IllegalTransition."""
    check_transition(run.state, state.value)
    before = {"state": run.state, "version": run.version}
    run.state, run.detail, run.changed_at = state, detail[:500], ctx.now()
    run.ticket = new_id()
    run.due_at = None if state.value in UNSCHEDULED else ctx.now() + OVERDUE_AFTER
    if state is RunState.RUNNING and run.started_at is None:
        run.started_at = ctx.now()
    if state is RunState.HEALTHY and run.healthy_at is None:
        run.healthy_at = ctx.now()
    if state.value in FINAL:
        run.ended_at = ctx.now()
    _claim_instruments(run)
    save_and_publish(ctx, run, kind=f"run.{state.value}")
    if state is RunState.FAILED:
        _request_incident(ctx, run)
    audit.record(
        ctx.because(detail),
        event=f"deployments.run.{state.value}",
        object_type="run",
        object_id=str(run.pk),
        before=before,
        after={"state": run.state, "version": run.version, "detail": run.detail, "release": str(run.release_id)},
    )


def save_and_publish(ctx: Context, run: Run, *, kind: str) -> None:
    """Save with the next version and publish the whole row."""
    run.version += 1
    run.save()
    outbox.publish(ctx, topic="deployments", kind=kind, key=str(run.pk), data=run_row(run))


def book_next(run: Run, *, seconds: float = 0) -> None:
    """Have the next step taken by a task that carries the run's ticket; the auditor finds a task that got lost."""
    send_after_commit(PLANNED, _countdown=seconds, run_id=str(run.pk), ticket=str(run.ticket))


def _claim_instruments(run: Run) -> None:
    """Keep what an active run trades to itself, and give it up with the run's end."""
    if run.state in FINAL:
        run.traded.all().delete()
    elif run.state == RunState.VALIDATING:
        TradedInstrument.objects.bulk_create(
            TradedInstrument(run=run, environment=run.environment, venue_id=run.venue_id, symbol=symbol)
            for symbol in run.plan["instruments"]
        )


def _request_incident(ctx: Context, run: Run) -> None:
    fingerprint = f"deployment_failed:{run.venue_id}:{run.pk}"
    data = {
        "kind": "deployment_failed",
        "fingerprint": fingerprint,
        "severity": "critical" if run.healthy_at else "warning",
        "title": f"Run {run.number} on {run.venue_id} failed",
        "detail": run.detail,
        "source": "deployments",
        "evidence": {"run": str(run.pk), "release": str(run.release_id)},
    }
    outbox.publish(ctx, topic="signals", kind="incident.requested", key=fingerprint, data=data)
