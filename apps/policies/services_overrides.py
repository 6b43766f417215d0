"""Leave to exceed a limit: asked for by one person, given by another, ended by its time or taken back."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from apps.accounts.domain.roles import Capability
from apps.accounts.permissions import require
from apps.accounts.services.stepup import consume_grant
from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import Context
from apps.core.dispatch import send_after_commit
from apps.core.errors import IllegalTransition, Invalid, NotFound, PermissionRefused
from apps.policies.choices import OverrideState
from apps.policies.domain import overrides as plans
from apps.policies.domain.signatures import override_bytes
from apps.policies.grids import lots_of
from apps.policies.models import LimitOverride
from apps.policies.rows import override_key, override_row
from apps.policies.services import sign_bytes


@transaction.atomic
def request_override(
    ctx: Context, *, scope: str, code: str, amount: str, until: datetime, reason: str
) -> LimitOverride:
    """Ask for leave to exceed the limit ``code`` of ``scope`` up to ``amount`` until ``until``. Nothing holds yet.

    Needs TRADING_RESUME, and to be a person. Invalid with a message per wrong field.
    """
    require(ctx, Capability.TRADING_RESUME, object_type="override", object_id="new")
    if ctx.actor.user is None:
        raise PermissionRefused("only a person can ask for leave to exceed a limit")
    text = " ".join(reason.split())
    if not 0 < len(text) <= 500:
        raise Invalid("say why, in at most 500 characters", reason=["must not be empty"])
    meant, limit, canonical = plans.checked(scope=scope, code=code, amount=amount, until=until, now=ctx.now())
    plans.check_grid(meant, limit, canonical, lots_of(meant.name))
    row = LimitOverride.objects.create(
        scope=str(meant),
        code=limit.value,
        amount=canonical,
        until=until.replace(microsecond=0),
        reason=text,
        requested_by=ctx.actor.user,
        requested_by_name=ctx.actor.name,
        requested_at=ctx.now(),
    )
    _finish(ctx, row, "requested")
    return row


@transaction.atomic
def approve_override(ctx: Context, *, override_id: UUID, grant: UUID | None) -> LimitOverride:
    """Give leave on another person's request; it is signed and holds from now to its time.

    Needs POLICY_EDIT, a fresh code for ``policies.override`` on this request, and not to be the one who asked.
    """
    require(ctx, Capability.POLICY_EDIT, object_type="override", object_id=str(override_id))
    ctx = consume_grant(ctx, grant_id=grant, action="policies.override", object_id=str(override_id))
    row = _locked(override_id)
    plans.check_decision(
        state=row.state,
        requested_by=str(row.requested_by_id),
        decider=str(ctx.actor.user.pk) if ctx.actor.user else "",
        requested_at=row.requested_at,
        until=row.until,
        now=ctx.now(),
    )
    row.state, row.approved_by = OverrideState.APPROVED, ctx.actor.user
    row.decided_by_name, row.decided_at = ctx.actor.name, ctx.now()
    content = {"id": row.pk, "scope": row.scope, "code": row.code, "amount": row.amount}
    row.digest = plans.override_digest({**content, "until": plans.moment(row.until)})
    row.signature = sign_bytes(override_bytes(str(row.pk), row.digest))
    _save(ctx, row, "approved")
    send_after_commit("gekko.execution.take_overrides")
    return row


@transaction.atomic
def reject_override(ctx: Context, *, override_id: UUID) -> LimitOverride:
    """Refuse a request, which needs POLICY_EDIT, or withdraw one's own, which needs TRADING_RESUME as asking does."""
    row = _locked(override_id)
    own = ctx.actor.user is not None and ctx.actor.user.pk == row.requested_by_id
    # To be the one who asked is not enough: a token of that person may be one that only reads.
    needed = Capability.TRADING_RESUME if own else Capability.POLICY_EDIT
    require(ctx, needed, object_type="override", object_id=str(override_id))
    if row.state != OverrideState.PENDING:
        raise IllegalTransition(f"the override is {row.state} already", state=row.state)
    row.state, row.decided_by_name, row.decided_at = OverrideState.REJECTED, ctx.actor.name, ctx.now()
    _save(ctx, row, "rejected")
    return row


@transaction.atomic
def revoke_override(ctx: Context, *, override_id: UUID) -> LimitOverride:
    """Take leave back before its time. One person suffices: needs TRADING_HALT, as every step towards safety."""
    require(ctx, Capability.TRADING_HALT, object_type="override", object_id=str(override_id))
    row = _locked(override_id)
    if row.state != OverrideState.APPROVED:
        raise IllegalTransition(f"the override is {row.state}, there is nothing to take back", state=row.state)
    row.state, row.ended_by_name, row.ended_at = OverrideState.REVOKED, ctx.actor.name, ctx.now()
    _save(ctx, row, "revoked")
    send_after_commit("gekko.execution.take_overrides")
    return row


@transaction.atomic
def expire_overrides(ctx: Context) -> int:
    """Close what ran out: requests that nobody decided on, and leave past its time. Return how many."""
    now = ctx.now()
    waiting = Q(state=OverrideState.PENDING) & (Q(until__lte=now) | Q(requested_at__lte=now - plans.REQUEST_LIVES))
    over = Q(state=OverrideState.APPROVED, until__lte=now)
    late = list(LimitOverride.objects.select_for_update().filter(waiting | over))
    for row in late:
        row.state, row.ended_at = OverrideState.EXPIRED, now
        _save(ctx, row, "expired")
    return len(late)


def _locked(override_id: UUID) -> LimitOverride:
    row = LimitOverride.objects.select_for_update().filter(pk=override_id).first()
    if row is None:
        raise NotFound(f"there is no override {override_id}")
    return row


def _save(ctx: Context, row: LimitOverride, what: str) -> None:
    row.version += 1
    row.save()
    _finish(ctx, row, what)


def _finish(ctx: Context, row: LimitOverride, what: str) -> None:
    outbox.publish(ctx, topic="policies", kind=f"override.{what}", key=override_key(row), data=override_row(row))
    audit.record(
        ctx.because(row.reason),
        event=f"policies.override.{what}",
        object_type="override",
        object_id=str(row.pk),
        after={"state": row.state, "scope": row.scope, "code": row.code, "amount": row.amount, "until": row.until},
    )
