"""Halt, resume and cancel everything. What is wanted is a row; the command to the worker only makes it faster."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from apps.accounts.domain.roles import Capability
from apps.accounts.permissions import require
from apps.accounts.services.stepup import consume_grant
from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import ActorKind, Context
from apps.core.dispatch import send_after_commit
from apps.core.errors import NotFound
from apps.policies.selectors import approvals_needed
from apps.trading.choices import ResumeState
from apps.trading.domain import control as plans
from apps.trading.models import Halt, ResumeRequest, TradingControl
from apps.trading.rows import control_row, resume_row
from workers.engine.vocabulary import TradingState


@transaction.atomic
def halt(ctx: Context, *, venue: str, reason: str, grant: UUID | None) -> TradingControl:
    """Stop trading on ``venue``: entries are refused and open orders cancelled. Halting twice changes nothing.

    A person needs TRADING_HALT and a fresh code for ``trading.halt`` on this venue; a process of the desk only the
    capability, because stopping is always safe. One person suffices, always.
    """
    require(ctx, Capability.TRADING_HALT, object_type="venue", object_id=venue)
    reason = plans.checked_reason(reason)
    ctx = _stepped_up(ctx, grant, "trading.halt", venue)
    control = _locked(venue)
    if not plans.plan_halt(desired=control.desired_state):
        return control
    before = control.desired_state
    _change(ctx, control, TradingState.HALTED, reason)
    record = Halt.objects.create(
        venue=control.venue,
        reason=reason,
        halted_by=ctx.actor.name,
        halted_at=ctx.now(),
        control_version=control.version,
    )
    _finish(
        ctx, control, event="trading.halt.ordered", before={"state": before}, after={"halt": str(record.id)}, why=reason
    )
    return control


@transaction.atomic
def resume(ctx: Context, *, venue: str, reason: str, grant: UUID | None) -> TradingControl | ResumeRequest:
    """Let ``venue`` trade again, or, where policy wants more people, ask for it.

    Needs TRADING_RESUME and a fresh code for ``trading.resume`` on this venue. Returns the control row when trading
    was resumed, the request when another person must approve it. Raises IllegalTransition unless halted.
    """
    require(ctx, Capability.TRADING_RESUME, object_type="venue", object_id=venue)
    reason = plans.checked_reason(reason)
    ctx = _stepped_up(ctx, grant, "trading.resume", venue, people_only=True)
    control = _locked(venue)
    needed = approvals_needed("trading.resume", control.venue.mode)
    plan = plans.plan_resume(desired=control.desired_state, approvals_needed=needed)
    if not plan.now:
        return _ask(ctx, control, reason, plan.approvals_needed)
    _resume(ctx, control, reason, approved_by="")
    return control


@transaction.atomic
def approve_resume(ctx: Context, *, request_id: UUID, grant: UUID | None) -> TradingControl:
    """Resume on another person's request. Needs TRADING_RESUME, a fresh code, and not to be the one who asked."""
    pending = ResumeRequest.objects.filter(pk=request_id).first()
    if pending is None:
        raise NotFound(f"there is no resume request {request_id}")
    require(ctx, Capability.TRADING_RESUME, object_type="venue", object_id=pending.venue_id)
    ctx = _stepped_up(ctx, grant, "trading.resume", pending.venue_id, people_only=True)
    control = _locked(pending.venue_id)
    request = ResumeRequest.objects.select_for_update().get(pk=request_id)
    plans.check_approval(
        state=request.state,
        requested_by=str(request.requested_by_id),
        approver=str(ctx.actor.user.pk) if ctx.actor.user else "",
        expires_at=request.expires_at,
        now=ctx.now(),
    )
    request.state, request.approved_by_name, request.decided_at = ResumeState.APPROVED, ctx.actor.name, ctx.now()
    request.save()
    outbox.publish(ctx, topic="halts", kind="resume.approved", key=str(request.id), data=resume_row(request))
    _resume(ctx, control, request.reason, approved_by=ctx.actor.name, requested_by=request.requested_by_name)
    return control


@transaction.atomic
def cancel_all(ctx: Context, *, venue: str, reason: str) -> TradingControl:
    """Order every open order on ``venue`` to be cancelled; trading goes on. Needs TRADING_CANCEL."""
    require(ctx, Capability.TRADING_CANCEL, object_type="venue", object_id=venue)
    reason = plans.checked_reason(reason)
    control = _locked(venue)
    control.cancel_version += 1
    control.cancel_reason, control.cancel_by, control.cancel_at = reason, ctx.actor.name, ctx.now()
    control.save()
    outbox.publish(ctx, topic="halts", kind="control.cancel_all", key=venue, data=control_row(control))
    audit.record(
        ctx.because(reason),
        event="trading.orders.cancel_all",
        object_type="venue",
        object_id=venue,
        after={"cancel_version": control.cancel_version},
    )
    send_after_commit("gekko.execution.cancel_all", reason=reason, by=ctx.actor.name, version=control.cancel_version)
    return control


@transaction.atomic
def expire_requests(ctx: Context) -> int:
    """Close resume requests that nobody approved in time; return how many."""
    late = ResumeRequest.objects.select_for_update().filter(state=ResumeState.PENDING, expires_at__lte=ctx.now())
    for request in late:
        request.state, request.decided_at = ResumeState.EXPIRED, ctx.now()
        request.save()
        outbox.publish(ctx, topic="halts", kind="resume.expired", key=str(request.id), data=resume_row(request))
        audit.record(ctx, event="trading.resume.expired", object_type="resume_request", object_id=str(request.id))
    return len(late)


def _locked(venue: str) -> TradingControl:
    control = (
        TradingControl.objects.select_related("venue").select_for_update(of=("self",)).filter(venue_id=venue).first()
    )
    if control is None:
        raise NotFound(f"there is no venue {venue!r}")
    return control


def _stepped_up(ctx: Context, grant: UUID | None, action: str, venue: str, *, people_only: bool = False) -> Context:
    if ctx.actor.kind is ActorKind.SERVICE and not people_only:
        return ctx
    return consume_grant(ctx, grant_id=grant, action=action, object_id=venue)


def _change(ctx: Context, control: TradingControl, state: TradingState, reason: str) -> None:
    control.desired_state = state.value
    control.version += 1
    control.reason, control.by, control.changed_at = reason, ctx.actor.name, ctx.now()
    control.save()


def _resume(ctx: Context, control: TradingControl, reason: str, *, approved_by: str, requested_by: str = "") -> None:
    _change(ctx, control, TradingState.ACTIVE, reason)
    Halt.objects.filter(venue=control.venue, resumed_at=None).update(
        resumed_by=requested_by or ctx.actor.name, resumed_at=ctx.now(), resume_reason=reason
    )
    people = {"requested_by": requested_by or ctx.actor.name, "approved_by": approved_by}
    before = {"state": TradingState.HALTED.value}
    _finish(ctx, control, event="trading.resume.ordered", before=before, after=people, why=reason)


def _ask(ctx: Context, control: TradingControl, reason: str, needed: int) -> ResumeRequest:
    halted = Halt.objects.filter(venue=control.venue, resumed_at=None).first()
    if halted is None:
        # A live venue is created halted, without anybody having halted it.
        halted = Halt.objects.create(
            venue=control.venue,
            reason=control.reason,
            halted_by=control.by,
            halted_at=control.changed_at,
            control_version=control.version,
        )
    for older in ResumeRequest.objects.select_for_update().filter(venue=control.venue, state=ResumeState.PENDING):
        older.state, older.decided_at = ResumeState.SUPERSEDED, ctx.now()
        older.save()
        outbox.publish(ctx, topic="halts", kind="resume.superseded", key=str(older.id), data=resume_row(older))
    request = ResumeRequest.objects.create(
        venue=control.venue,
        halt=halted,
        reason=reason,
        approvals_needed=needed,
        requested_by=ctx.actor.user,
        requested_by_name=ctx.actor.name,
        requested_at=ctx.now(),
        expires_at=ctx.now() + plans.RESUME_REQUEST_LIVES,
    )
    outbox.publish(ctx, topic="halts", kind="resume.requested", key=str(request.id), data=resume_row(request))
    audit.record(
        ctx.because(reason),
        event="trading.resume.requested",
        object_type="venue",
        object_id=control.venue_id,
        after={"request": str(request.id), "approvals_needed": needed},
    )
    return request


def _finish(
    ctx: Context,
    control: TradingControl,
    *,
    event: str,
    before: dict[str, str],
    after: dict[str, str],
    why: str,
) -> None:
    outbox.publish(ctx, topic="halts", kind="control.changed", key=control.venue_id, data=control_row(control))
    audit.record(
        ctx.because(why),
        event=event,
        object_type="venue",
        object_id=control.venue_id,
        before=before,
        after={"state": control.desired_state, "version": control.version, **after},
    )
    send_after_commit(
        "gekko.execution.set_trading_state",
        state=control.desired_state,
        reason=why,
        by=ctx.actor.name,
        control_version=control.version,
    )
