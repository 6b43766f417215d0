"""Taking a run one step further: look without locks, then lock, compare the ticket, decide, book the next step."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q

from apps.core.context import Context
from apps.core.dispatch import send_after_commit
from apps.core.ids import new_id
from apps.deployments.choices import ACTIVE_STATES, RunState, StepState
from apps.deployments.domain.plan import CheckResult, Move, Seen, after_check, next_move
from apps.deployments.models import Run, Step
from apps.deployments.services import checks
from apps.deployments.services.runs import locked_run
from apps.deployments.services.transitions import OVERDUE_AFTER, UNSCHEDULED, book_next, move, save_and_publish
from apps.trading import selectors as trading

AGAIN_S: Final = 1.0

log = structlog.get_logger(__name__)


def advance(ctx: Context, *, run_id: UUID, ticket: UUID) -> Run | None:
    """Take one step of the run if ``ticket`` is still its own; None when another task has taken it.

    Safe to deliver twice and to kill anywhere: everything that was decided commits together with the next ticket.
    """
    run = Run.objects.select_related("release").filter(pk=run_id, ticket=ticket).first()
    if run is None:
        return None
    seen = look(ctx, run)
    step = run.steps.exclude(state=StepState.PASSED).first() if run.state == RunState.VALIDATING else None
    result = checks.perform(step.name, run, seen.now) if step is not None else None
    with transaction.atomic():
        run = locked_run(run_id)
        if run.ticket != ticket:
            return None
        decision = next_move(run.state, seen)
        if step is not None and result is not None:
            decision = _record_check(ctx, run, step, result, seen)
        _carry_out(ctx, run, decision, immediately=result is not None and result.outcome == "passed")
    return run


def look(ctx: Context, run: Run) -> Seen:
    """What is known of the run in the loop now."""
    observed = trading.run_observation(str(run.pk))
    mark = trading.latest_mark(run.venue_id)
    return Seen(
        now=ctx.now(),
        changed_at=run.changed_at,
        observed=observed is not None,
        stopped_at=observed.stopped_at if observed else None,
        stop_reason=observed.stop_reason if observed else "",
        mark_at=mark.at if mark else None,
        worker_alive=run.state != RunState.STOPPING or checks.worker_alive(ctx.now()),
        was_healthy=run.healthy_at is not None,
    )


def audit_overdue(ctx: Context) -> int:
    """Take every active run a step further whose own task is overdue or that has none (healthy); return how many.

    Called every few seconds by the scheduler: a task lost with its worker or broker stops nothing.
    """
    waiting = Run.objects.filter(state__in=ACTIVE_STATES).filter(Q(due_at=None) | Q(due_at__lte=ctx.now()))
    taken = 0
    for run_id, ticket in list(waiting.values_list("pk", "ticket")):
        taken += advance(ctx, run_id=run_id, ticket=ticket) is not None
    return taken


def _record_check(ctx: Context, run: Run, step: Step, result: CheckResult, seen: Seen) -> Move:
    """Keep what was seen and say where that leads; published only when it says something new."""
    states = {"passed": StepState.PASSED, "failed": StepState.FAILED, "waiting": StepState.PENDING}
    state, detail = states[result.outcome], result.detail[:500]
    news = (step.state, step.detail) != (state, detail)
    step.state, step.detail, step.evidence = state, detail, result.evidence
    step.done_at = None if result.outcome == "waiting" else ctx.now()
    step.save()
    last = not run.steps.exclude(state=StepState.PASSED).exists()
    decision = after_check(result, last=last, seen=seen)
    if news and not decision.state:
        save_and_publish(ctx, run, kind="run.checked")
    return decision


def _carry_out(ctx: Context, run: Run, decision: Move, *, immediately: bool) -> None:
    if decision.state:
        move(ctx, run, RunState(decision.state), decision.detail)
    else:
        run.ticket = new_id()
        run.due_at = None if run.state in UNSCHEDULED else ctx.now() + OVERDUE_AFTER
        run.save(update_fields=["ticket", "due_at"])
    if run.state == RunState.STARTING and decision.state:
        send_after_commit("gekko.execution.start_run", plan=run.plan)
    if run.state == RunState.FAILED and decision.state:
        # Whatever of it the loop may have taken up must end.
        send_after_commit("gekko.execution.stop_run", run_id=str(run.pk), reason=run.detail)
    if run.state not in UNSCHEDULED:
        book_next(run, seconds=0 if immediately else AGAIN_S)
