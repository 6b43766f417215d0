"""Starting and stopping runs."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max

from apps.accounts.permissions import Capability, require
from apps.accounts.services.stepup import consume_grant
from apps.audit import services as audit
from apps.core.context import ActorKind, Context
from apps.core.dispatch import send_after_commit
from apps.core.errors import Conflict, IllegalTransition, Invalid, NotFound, StaleVersion, StepUpRequired
from apps.core.ids import new_id
from apps.deployments.choices import RunState
from apps.deployments.domain.plan import CHECKS
from apps.deployments.domain.shares import WHOLE, Held, plain_share, share_beside
from apps.deployments.domain.states import FINAL, STOPPABLE
from apps.deployments.models import Release, Run, Step
from apps.deployments.selectors import active_runs, get_release
from apps.deployments.services.releases import take_numbers_lock
from apps.deployments.services.transitions import book_next, move
from apps.trading.models import Venue
from apps.trading.selectors import get_venue

_NUMBERS_LOCK: Final = 4_771_003


class RunActive(Conflict):
    code, title = "run_active", "Another run is in the way"


@transaction.atomic
def start_run(ctx: Context, *, release_id: UUID, venue: str, grant: UUID | None, reason: str = "") -> Run:
    """Deploy a release to a venue; validation begins when the transaction has committed.

    Needs DEPLOY_START and a fresh code for ``deployments.start`` on the release. The commands that set a desk up may
    start without a code on paper, never live. Several runs may be active on a venue: raises RunActive while another
    trades one of the instruments, or bars of another length, and CapitalTaken where their shares leave too little.
    """
    require(ctx, Capability.DEPLOY_START, object_type="release", object_id=str(release_id))
    place, release = get_venue(venue), get_release(release_id)
    if ctx.actor.kind is ActorKind.SERVICE:
        if place.mode != "paper":
            raise StepUpRequired(f"{venue} is {place.mode}: only a person with a fresh code may start a run there")
    else:
        ctx = consume_grant(ctx, grant_id=grant, action="deployments.start", object_id=str(release_id))
    take_numbers_lock(_NUMBERS_LOCK)
    others = list(active_runs(venue))
    for other in others:
        problem = _in_the_way(release, other)
        if problem:
            raise RunActive(problem, run=str(other.pk))
    run = _create(ctx, release, place, capital_for(release, others))
    Step.objects.bulk_create(
        Step(run=run, position=position, name=name) for position, name in enumerate(CHECKS, start=1)
    )
    audit.record(
        ctx.because(reason) if reason else ctx,
        event="deployments.run.requested",
        object_type="run",
        object_id=str(run.pk),
        after={"number": run.number, "plan": run.plan},
    )
    try:
        with transaction.atomic():
            move(ctx, run, RunState.VALIDATING, "checking what the run needs")
    except IntegrityError as error:
        raise RunActive(f"another run took an instrument on {venue} first") from error
    book_next(run)
    return run


@transaction.atomic
def stop_run(ctx: Context, *, run_id: UUID, reason: str, expected_version: int | None = None) -> Run:
    """Stop a run; the loop closes no positions, it only stops trading. Stopping what is over changes nothing.

    Needs DEPLOY_STOP. StaleVersion when ``expected_version`` is given and the run has moved on.
    """
    require(ctx, Capability.DEPLOY_STOP, object_type="run", object_id=str(run_id))
    why = " ".join(reason.split())[:500]
    if not why:
        raise Invalid("say why: the reason must not be empty", field="reason")
    run = locked_run(run_id)
    if run.state in FINAL or run.state == RunState.STOPPING:
        return run
    if expected_version is not None and run.version != expected_version:
        raise StaleVersion(
            f"you saw version {expected_version} of run {run.number}, it is at {run.version} by now",
            expected=expected_version,
            actual=run.version,
            state=run.state,
        )
    run.stop_reason = why
    if run.state not in STOPPABLE:
        raise IllegalTransition(f"a run that is {run.state} cannot be stopped", state=run.state)
    move(ctx, run, RunState.STOPPING, why)
    send_after_commit("gekko.execution.stop_run", run_id=str(run.pk), reason=why)
    book_next(run, seconds=1)
    return run


def fits_beside(release: Release, run: Run) -> bool:
    """Whether ``release`` can be traded while ``run`` is on: other instruments, bars of the same length."""
    return not _in_the_way(release, run)


def capital_for(release: Release, others: Iterable[Run]) -> Decimal:
    """The share of the account's equity that a run of ``release`` gets beside ``others``; CapitalTaken."""
    held = [Held(run.number, Decimal(run.plan.get("capital_share", WHOLE))) for run in others]
    return share_beside(release.capital_share, sorted(held))


def _in_the_way(release: Release, run: Run) -> str:
    """What keeps ``release`` from being traded beside ``run``, in words; empty when nothing does."""
    shared = sorted(set(release.instruments) & set(run.plan["instruments"]))
    if shared:
        what = f"run {run.number} is {run.state} and trades {', '.join(shared)}"
        return f"{what}; stop it first, or leave these instruments out"
    if release.interval_ns != run.plan["interval_ns"]:
        theirs, ours = run.plan["interval_ns"] // 10**9, release.interval_ns // 10**9
        what = f"run {run.number} is {run.state} on bars of {theirs} s, this release needs bars of {ours} s"
        return f"{what}; stop it first: all runs of a venue share one length"
    return ""


def locked_run(run_id: UUID) -> Run:
    """The run's row under lock; NotFound."""
    run = Run.objects.select_related("release").select_for_update(of=("self",)).filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    return run


def _create(ctx: Context, release: Release, venue: Venue, share: Decimal) -> Run:
    run_id = new_id()
    return Run.objects.create(
        pk=run_id,
        number=(Run.objects.aggregate(top=Max("number"))["top"] or 0) + 1,
        release=release,
        venue=venue,
        environment=venue.mode,
        plan=frozen_plan(run_id, release, venue, share),
        requested_by=ctx.actor.name,
        created_at=ctx.now(),
        changed_at=ctx.now(),
    )


def frozen_plan(run_id: UUID, release: Release, venue: Venue, share: Decimal) -> dict[str, Any]:
    """What the execution worker is given; it never changes after the start."""
    return {
        "run_id": str(run_id),
        "release": release.digest,
        "strategy": release.strategy,
        "params": release.params,
        "model_digest": release.model_digest,
        "limits_version": release.limits_version,
        "venue": venue.name,
        "instruments": release.instruments,
        "interval_ns": release.interval_ns,
        "capital_share": plain_share(share),
    }


__all__ = ["RunActive", "capital_for", "fits_beside", "frozen_plan", "locked_run", "start_run", "stop_run"]
