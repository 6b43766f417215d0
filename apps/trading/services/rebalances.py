"""Asking for rebalances, and what the worker that computes them reports. A run proposes; see ``executions``.

Every run ends: one that no worker took is sent again, one whose worker is gone fails after ``LONGEST``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from apps.accounts.permissions import Capability, require
from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import Context
from apps.core.dispatch import send_after_commit
from apps.core.errors import Conflict, IllegalTransition, Invalid, NotFound
from apps.trading import messages
from apps.trading.domain.states import Signal, short
from apps.trading.models import (
    Instrument,
    RebalanceExecution,
    RebalanceRun,
    RebalanceSchedule,
    RebalanceState,
    TradingControl,
)
from apps.trading.models.portfolio import OPEN_RUNS
from apps.trading.models.rebalances import OPEN_EXECUTIONS
from apps.trading.rows_rebalances import live_run
from apps.trading.selectors import get_control, get_venue
from apps.trading.services.projection import signal_message
from workers.engine.portfolio.policy import RebalancePolicy, digest_of, parse_policy, policy_data
from workers.engine.portfolio.problem import PortfolioError

TOPIC: Final = "rebalances"
"""Live topic of runs, executions and schedules."""
TASK: Final = "gekko.portfolio.rebalance"
RESEND_AFTER: Final = timedelta(seconds=15)
LONGEST: Final = timedelta(seconds=180)


@transaction.atomic
def request_rebalance(
    ctx: Context,
    *,
    venue: str,
    policy: Mapping[str, Any],
    reason: str = "",
    schedule: RebalanceSchedule | None = None,
) -> RebalanceRun:
    """Queue the computation of a book for ``venue``. Needs REBALANCE_RUN.

    The policy is checked and frozen here, with every default written out. Invalid names what is wrong with it, such as
    a symbol that the venue does not list; NotFound for an unknown venue; Conflict while another run of the venue is
    open: two answers to one book would be two trades.
    """
    require(ctx, Capability.REBALANCE_RUN, object_type="rebalance", object_id=venue)
    place, parsed = get_venue(venue), checked_policy(venue, policy)
    if (schedule is None) != (parsed.schedule is None):
        raise Invalid("a policy with a schedule is set as a rebalance schedule, and only there", field="policy")
    frozen = policy_data(parsed)
    _must_be_alone(venue)
    run = RebalanceRun.objects.create(
        venue=place,
        method=parsed.method,
        policy=frozen,
        policy_digest=digest_of(frozen),
        requested_by=ctx.actor.user,
        requested_by_name=ctx.actor.name,
        requested_at=ctx.now(),
        sent_at=ctx.now(),
        schedule=schedule,
    )
    audit.record(
        ctx.because(reason) if reason else ctx,
        event="trading.rebalance.requested",
        object_type="rebalance",
        object_id=str(run.pk),
        after={"venue": venue, "method": run.method, "policy": frozen, "policy_digest": run.policy_digest},
    )
    _tell(ctx, run)
    send_after_commit(TASK, run_id=str(run.pk))
    return run


def checked_policy(venue: str, policy: Mapping[str, Any]) -> RebalancePolicy:
    """``policy`` with every default; Invalid names what is wrong with it, or a symbol that ``venue`` does not list."""
    try:
        parsed = parse_policy(policy)
    except PortfolioError as error:
        raise Invalid(str(error), field="policy") from error
    listed = set(Instrument.objects.filter(venue_id=venue).values_list("symbol", flat=True))
    unknown = sorted(set(parsed.symbols) - listed)
    if unknown:
        raise Invalid(f"{venue} does not list {', '.join(unknown)}", field="policy")
    return parsed


@transaction.atomic
def begin_rebalance(ctx: Context, *, run_id: UUID | str) -> RebalanceRun | None:
    """Take a waiting run; None when another worker has it, or it is over."""
    run = _locked(run_id)
    if run.state != RebalanceState.PENDING:
        return None
    run.state, run.started_at = RebalanceState.RUNNING, ctx.now()
    _save(ctx, run)
    return run


@transaction.atomic
def finish_rebalance(
    ctx: Context, *, run_id: UUID | str, inputs: dict[str, Any], outcome: dict[str, Any]
) -> RebalanceRun:
    """Keep the answer. Where the old book was kept, an incident is asked for; a found one clears it."""
    run = _locked(run_id)
    _must_run(run)
    found = outcome["status"] == "optimal"
    run.state = RebalanceState.DONE if found else RebalanceState.REFUSED
    run.inputs, run.outcome, run.inputs_digest = inputs, outcome, outcome["inputs_digest"]
    run.cost, run.why, run.finished_at = Decimal(outcome["cost"]), short(outcome["why"]), ctx.now()
    _save(ctx, run)
    messages.publish_all([signal_message(ctx, run.venue_id, _signal(run, raised=not found))])
    _record(ctx, run, "trading.rebalance.finished")
    return run


@transaction.atomic
def fail_rebalance(ctx: Context, *, run_id: UUID | str, why: str) -> RebalanceRun:
    """The inputs could not be had or used; ``why`` says so in words."""
    run = _locked(run_id)
    _must_run(run)
    _fail(ctx, run, why)
    return run


@transaction.atomic
def look_after_rebalances(ctx: Context) -> int:
    """Send again what no worker took, fail what a worker took and never ended; return how many were overdue."""
    late = RebalanceRun.objects.select_for_update(skip_locked=True)
    waiting = list(late.filter(state=RebalanceState.PENDING, sent_at__lte=ctx.now() - RESEND_AFTER))
    lost = list(late.filter(state=RebalanceState.RUNNING, started_at__lte=ctx.now() - LONGEST))
    for run in waiting:
        run.sent_at = ctx.now()
        run.save(update_fields=["sent_at"])
        send_after_commit(TASK, run_id=str(run.pk))
    for run in lost:
        _fail(ctx, run, f"no answer came within {LONGEST.total_seconds():.0f} s; ask again")
    return len(waiting) + len(lost)


def _must_be_alone(venue: str) -> None:
    """Conflict while a run of ``venue`` is open; whoever asks at the same moment waits for the venue's row first."""
    TradingControl.objects.select_for_update().get(pk=get_control(venue).pk)
    other = RebalanceRun.objects.filter(venue_id=venue, state__in=OPEN_RUNS).first()
    if other is not None:
        raise Conflict(
            f"rebalance {other.pk} of {venue} is {other.state}; wait until it is over", run=str(other.pk), venue=venue
        )
    worked = RebalanceExecution.objects.filter(venue_id=venue, state__in=OPEN_EXECUTIONS).first()
    if worked is not None:
        raise Conflict(
            f"the trades of rebalance {worked.run_id} are being made on {venue}; wait until it is over, or cancel it",
            run=str(worked.run_id),
            venue=venue,
        )


def _locked(run_id: UUID | str) -> RebalanceRun:
    run = RebalanceRun.objects.select_for_update().filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"there is no rebalance {run_id}")
    return run


def _must_run(run: RebalanceRun) -> None:
    if run.state != RebalanceState.RUNNING:
        raise IllegalTransition(f"rebalance {run.pk} is {run.state}", state=run.state)


def _save(ctx: Context, run: RebalanceRun) -> None:
    run.version += 1
    run.save()
    _tell(ctx, run)


def _tell(ctx: Context, run: RebalanceRun) -> None:
    key, row = live_run(run)
    outbox.publish(ctx, topic=TOPIC, kind="run.updated", key=key, data=row)


def _fail(ctx: Context, run: RebalanceRun, why: str) -> None:
    run.state, run.why, run.finished_at = RebalanceState.FAILED, short(why), ctx.now()
    _save(ctx, run)
    _record(ctx, run, "trading.rebalance.failed")


def _record(ctx: Context, run: RebalanceRun, event: str) -> None:
    after = {
        "state": run.state,
        "requested_by": run.requested_by_name,
        "policy_digest": run.policy_digest,
        "inputs_digest": run.inputs_digest,
        "why": run.why,
    }
    audit.record(ctx, event=event, object_type="rebalance", object_id=str(run.pk), after=after)


def _signal(run: RebalanceRun, *, raised: bool) -> Signal:
    fingerprint = f"rebalance_refused:{run.venue_id}:{run.method}"
    if not raised:
        return Signal(fingerprint, raised=False)
    return Signal(
        fingerprint,
        raised=True,
        kind="rebalance_refused",
        severity="warning",
        title=f"No new book for {run.venue_id}: {run.outcome['status']}",
        detail=f"{run.method} kept the old book: {run.why}.",
        evidence={"run": str(run.pk), "status": run.outcome["status"], "conflict": run.outcome.get("conflict")},
    )
