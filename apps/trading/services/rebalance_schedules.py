"""Standing policies: whether bands or drift make a new book due is asked again and again, by beat.

What comes of it is a proposal, unless the policy says ``execute``: then its trades are approved on the leave of the
one who set the schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import transaction

from apps.accounts.domain.roles import capabilities_of
from apps.accounts.permissions import Capability, require
from apps.accounts.selectors import roles_of
from apps.accounts.services.stepup import consume_grant
from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import ActorKind, Context
from apps.core.errors import Conflict, DomainError, IllegalTransition, Invalid, NotFound
from apps.trading.domain.control import checked_reason
from apps.trading.domain.states import Signal, short
from apps.trading.messages import publish_all
from apps.trading.models import RebalanceSchedule, RebalanceState, TradingControl
from apps.trading.rows_rebalances import live_schedule
from apps.trading.selectors import get_control, get_venue
from apps.trading.services.executions import ACTION, approve_rebalance
from apps.trading.services.projection import signal_message
from apps.trading.services.rebalances import TOPIC, checked_policy, request_rebalance
from workers.engine.portfolio.execution import Schedule
from workers.engine.portfolio.policy import RebalancePolicy, digest_of, parse_policy, policy_data
from workers.engine.portfolio.problem import PortfolioError

NOT_FOLLOWED: Final = "it cannot be followed"

log = structlog.get_logger(__name__)


def frozen_policy(venue: str, policy: Mapping[str, Any]) -> tuple[dict[str, Any], str, Schedule]:
    """The policy with every default, its digest and its schedule; Invalid when it has none or cannot be meant."""
    parsed = checked_policy(get_venue(venue).name, policy)
    if parsed.schedule is None:
        raise Invalid("a schedule needs policy.schedule with every_s", field="policy")
    frozen = policy_data(parsed)
    return frozen, digest_of(frozen), parsed.schedule


@transaction.atomic
def set_schedule(
    ctx: Context, *, venue: str, policy: Mapping[str, Any], reason: str, grant: UUID | None
) -> RebalanceSchedule:
    """Ask for books of ``venue`` by ``policy`` from now on; the one that was set before ends.

    Needs REBALANCE_RUN, and TRADING_CANCEL where it ends one that trades. Where the policy executes by itself it needs
    TRADING_ORDER too and, of a person, a fresh code for ``trading.rebalance`` on the venue's name, a colon and the
    digest of the frozen policy.
    """
    require(ctx, Capability.REBALANCE_RUN, object_type="rebalance_schedule", object_id=venue)
    reason = checked_reason(reason)
    frozen, digest, schedule = frozen_policy(venue, policy)
    if schedule.execute:
        require(ctx, Capability.TRADING_ORDER, object_type="rebalance_schedule", object_id=venue)
        if ctx.actor.kind is not ActorKind.SERVICE:
            ctx = consume_grant(ctx, grant_id=grant, action=ACTION, object_id=f"{venue}:{digest}")
    TradingControl.objects.select_for_update().get(pk=get_control(venue).pk)
    for older in RebalanceSchedule.objects.select_for_update().filter(venue_id=venue, ended_at=None):
        _may_end(ctx, older)
        _end(ctx, older, "another one was set in its place")
    _tell(ctx, venue, "")
    made = RebalanceSchedule.objects.create(
        venue_id=venue,
        policy=frozen,
        policy_digest=digest,
        reason=reason,
        set_by=ctx.actor.user,
        set_by_name=ctx.actor.name,
        set_at=ctx.now(),
        next_at=ctx.now(),
    )
    _publish(ctx, made)
    audit.record(
        ctx.because(reason),
        event="trading.rebalance.schedule_set",
        object_type="rebalance_schedule",
        object_id=str(made.pk),
        after={"venue": venue, "policy": frozen, "policy_digest": digest, "execute": schedule.execute},
    )
    return made


@transaction.atomic
def end_schedule(ctx: Context, *, schedule_id: UUID | str, reason: str) -> RebalanceSchedule:
    """Ask no more; what is being worked goes on. Needs REBALANCE_RUN, and TRADING_CANCEL for one that trades.

    NotFound; IllegalTransition when it is over.
    """
    require(ctx, Capability.REBALANCE_RUN, object_type="rebalance_schedule", object_id=str(schedule_id))
    reason = checked_reason(reason)
    schedule = RebalanceSchedule.objects.select_for_update().filter(pk=schedule_id).first()
    if schedule is None:
        raise NotFound(f"there is no rebalance schedule {schedule_id}")
    if schedule.ended_at is not None:
        raise IllegalTransition(f"rebalance schedule {schedule_id} was ended by {schedule.ended_by}", state="ended")
    _may_end(ctx, schedule)
    _end(ctx, schedule, reason)
    _record_end(ctx, schedule)
    _tell(ctx, schedule.venue_id, "")
    return schedule


def _may_end(ctx: Context, schedule: RebalanceSchedule) -> None:
    """One that trades is stopped by whoever may cancel orders, and by nobody else."""
    if (schedule.policy.get("schedule") or {}).get("execute"):
        require(ctx, Capability.TRADING_CANCEL, object_type="rebalance_schedule", object_id=str(schedule.pk))


def _record_end(ctx: Context, schedule: RebalanceSchedule) -> None:
    audit.record(
        ctx.because(schedule.ended_reason),
        event="trading.rebalance.schedule_ended",
        object_type="rebalance_schedule",
        object_id=str(schedule.pk),
    )


def _end(ctx: Context, schedule: RebalanceSchedule, reason: str) -> None:
    schedule.ended_by, schedule.ended_at, schedule.ended_reason = ctx.actor.name, ctx.now(), reason
    _save(ctx, schedule)


def _save(ctx: Context, schedule: RebalanceSchedule) -> None:
    schedule.version += 1
    schedule.save()
    _publish(ctx, schedule)


def _publish(ctx: Context, schedule: RebalanceSchedule) -> None:
    key, row = live_schedule(schedule)
    outbox.publish(ctx, topic=TOPIC, kind="schedule.updated", key=key, data=row)


def follow_schedules(ctx: Context) -> int:
    """Work what a schedule's last run proposed, where its policy says so, and ask for the run that is due.

    Returns how many runs were asked for. One that is not possible now says why, and the next look tries again.
    """
    active, asked = RebalanceSchedule.objects.filter(ended_at=None).values_list("pk", flat=True), 0
    for pk in list(active):
        try:
            asked += _follow(ctx, pk)
        except (DomainError, PortfolioError, KeyError) as error:
            # One schedule that cannot be followed, as what an older version wrote, holds up no other.
            log.exception("rebalance schedule cannot be followed", schedule=str(pk))
            _hold_up(ctx, pk, error)
    return asked


@transaction.atomic
def _hold_up(ctx: Context, pk: UUID, error: Exception) -> None:
    schedule = RebalanceSchedule.objects.select_for_update(of=("self",)).filter(pk=pk, ended_at=None).first()
    if schedule is not None:
        _note(ctx, schedule, f"{NOT_FOLLOWED}: {type(error).__name__}: {error}")


def _note(ctx: Context, schedule: RebalanceSchedule, problem: str) -> None:
    """Keep what holds the schedule up, and tell it where it is news."""
    problem = short(problem)
    if problem == schedule.problem:
        return
    schedule.problem = problem
    _save(ctx, schedule)
    _tell(ctx, schedule.venue_id, problem)


def _tell(ctx: Context, venue: str, problem: str) -> None:
    """Raise the incident of a schedule that is held up, or clear it where ``problem`` is empty."""
    signal = Signal(
        f"rebalance_held_up:{venue}:schedule",
        raised=bool(problem),
        kind="rebalance_held_up",
        severity="warning",
        title=f"The rebalance schedule of {venue} is held up",
        detail=f"{problem}. See the page Rebalances.",
        evidence={},
    )
    publish_all([signal_message(ctx, venue, signal)])


@transaction.atomic
def _follow(ctx: Context, pk: UUID) -> int:
    venue = RebalanceSchedule.objects.values_list("venue_id", flat=True).get(pk=pk)
    # The same order of locks as whoever sets another schedule, approves or asks.
    TradingControl.objects.select_for_update().get(pk=get_control(venue).pk)
    schedule = RebalanceSchedule.objects.select_for_update(of=("self",)).filter(pk=pk, ended_at=None).first()
    if schedule is None:
        return 0
    asked = 0
    try:
        policy = parse_policy(schedule.policy)
    except PortfolioError as error:
        problem = f"its policy cannot be used by this version, set it anew: {error}"
    else:
        if _executes(policy) and not _may_execute(schedule):
            _end(ctx, schedule, f"{schedule.set_by_name} may not order any more, and it traded on that leave")
            _record_end(ctx, schedule)
            _tell(ctx, venue, f"it has ended: {schedule.ended_reason}")
            return 0
        problem = _work(ctx, schedule, policy)
        if problem.startswith(NOT_FOLLOWED):
            problem = ""
        if ctx.now() >= schedule.next_at:
            asked, problem = _ask(ctx, schedule, policy, problem)
    if asked:
        _save(ctx, schedule)
    _note(ctx, schedule, problem)
    return asked


def _executes(policy: RebalancePolicy) -> bool:
    return policy.schedule is not None and policy.schedule.execute


def _may_execute(schedule: RebalanceSchedule) -> bool:
    """Whether the one who set it may still run and order; what no person set stands for itself."""
    if schedule.set_by_id is None:
        return True
    return {Capability.REBALANCE_RUN, Capability.TRADING_ORDER} <= capabilities_of(roles_of(schedule.set_by_id))


def _work(ctx: Context, schedule: RebalanceSchedule, policy: RebalancePolicy) -> str:
    """Approve what the last run proposes, if the policy executes; why that cannot be, or an empty text."""
    run = schedule.last_run
    if not _executes(policy) or run is None or run.state != RebalanceState.DONE or run.finished_at is None:
        return schedule.problem
    proposes = any(trade["side"] for trade in run.outcome["trades"])
    late = ctx.now() - run.finished_at >= timedelta(seconds=policy.execution.max_age_s)
    if hasattr(run, "execution") or not proposes or late:
        return schedule.problem
    try:
        with transaction.atomic():
            reason = f"By the schedule of {schedule.set_by_name}"
            approve_rebalance(ctx, run_id=run.pk, reason=reason, grant=None, leave=schedule)
    except DomainError as error:
        return error.detail
    return ""


def _ask(ctx: Context, schedule: RebalanceSchedule, policy: RebalancePolicy, problem: str) -> tuple[int, str]:
    try:
        with transaction.atomic():
            run = request_rebalance(
                ctx, venue=schedule.venue_id, policy=schedule.policy, reason=schedule.reason, schedule=schedule
            )
    except Conflict:
        # Another run is open, or its trades are being made: it is asked for as soon as that is over.
        return 0, problem
    except DomainError as error:
        run, problem = None, error.detail
    else:
        problem = ""
    every = policy.schedule
    schedule.next_at = ctx.now() + timedelta(seconds=every.every_s if every is not None else 0)
    if run is not None:
        schedule.last_run = run
    return int(run is not None), problem
