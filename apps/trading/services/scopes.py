"""Halt and resume by scope, and cancel a part. What is wanted is a row; the command only makes it faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.domain.roles import Capability
from apps.accounts.permissions import require
from apps.accounts.services.stepup import consume_grant
from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import ActorKind, Context
from apps.core.dispatch import send_after_commit
from apps.core.errors import IllegalTransition, NotFound
from apps.policies.selectors import approvals_needed, desk_names
from apps.trading.domain import scopes as plans
from apps.trading.domain.control import RESUME_REQUEST_LIVES, checked_reason
from apps.trading.models import CancelOrder, Instrument, ScopeControl, ScopeHalt, Venue
from apps.trading.rows_scopes import cancel_row, scope_key, scope_row
from apps.trading.selectors_backtests import strategy_names
from apps.trading.selectors_scopes import instrument_symbols, ran_strategies, venue_names
from workers.engine.risk.scopes import Scope, ScopeKind


@transaction.atomic
def halt_scope(ctx: Context, *, scope: str, reason: str, grant: UUID | None) -> ScopeControl:
    """Block entry for ``scope`` on every venue and cancel its open orders. Halting twice changes nothing.

    A person needs TRADING_HALT and a fresh code for ``trading.halt`` on this scope; a process of the desk only the
    capability. One person suffices, always. Invalid or NotFound for a scope that is none here.
    """
    require(ctx, Capability.TRADING_HALT, object_type="scope", object_id=scope)
    reason, meant = checked_reason(reason), plans.checked_scope(scope)
    if ctx.actor.kind is not ActorKind.SERVICE:
        ctx = consume_grant(ctx, grant_id=grant, action="trading.halt", object_id=scope)
    _must_exist(meant)
    control = _locked(ctx, scope)
    if control.halted:
        return control
    _change(ctx, control, halted=True, reason=reason)
    halt = _open(ctx, control, automatic=False)
    _finish(ctx, control, event="trading.scope.halted", after={"halt": str(halt.id)}, why=reason)
    return control


@transaction.atomic
def resume_scope(ctx: Context, *, scope: str, reason: str, grant: UUID | None) -> tuple[ScopeControl, ScopeHalt]:
    """Let ``scope`` trade again, or, where policy wants more people, ask for it: then the control stays halted.

    Needs TRADING_RESUME and a fresh code for ``trading.resume`` on this scope. IllegalTransition unless halted.
    """
    require(ctx, Capability.TRADING_RESUME, object_type="scope", object_id=scope)
    reason, meant = checked_reason(reason), plans.checked_scope(scope)
    ctx = consume_grant(ctx, grant_id=grant, action="trading.resume", object_id=scope)
    control, halt = _locked_halt(scope)
    mode = plans.mode_of(meant, dict(Venue.objects.values_list("name", "mode")))
    needed = approvals_needed("trading.resume", mode)
    halt.requested_by, halt.requested_by_name = ctx.actor.user, ctx.actor.name
    halt.requested_at, halt.request_reason = ctx.now(), reason
    halt.request_expires_at = ctx.now() + RESUME_REQUEST_LIVES
    if needed > 1:
        halt.save()
        outbox.publish(ctx, topic="halts", kind="scope.resume_requested", key=scope_key(scope), data=scope_row(control))
        audit.record(
            ctx.because(reason),
            event="trading.scope.resume_requested",
            object_type="scope",
            object_id=scope,
            after={"halt": str(halt.id), "approvals_needed": needed},
        )
        return control, halt
    _resume(ctx, control, halt)
    return control, halt


@transaction.atomic
def approve_scope_resume(ctx: Context, *, halt_id: UUID, grant: UUID | None) -> ScopeControl:
    """Resume on another person's request. Needs TRADING_RESUME, a fresh code, and not to be the one who asked."""
    found = ScopeHalt.objects.filter(pk=halt_id).first()
    if found is None:
        raise NotFound(f"there is no halt {halt_id} of a scope")
    scope = found.control_id
    require(ctx, Capability.TRADING_RESUME, object_type="scope", object_id=scope)
    ctx = consume_grant(ctx, grant_id=grant, action="trading.resume", object_id=scope)
    control, halt = _locked_halt(scope)
    if halt.pk != found.pk:
        raise IllegalTransition("that halt is over already", state="resumed")
    plans.check_scope_approval(
        requested_at=halt.requested_at,
        expires_at=halt.request_expires_at,
        requester=str(halt.requested_by_id),
        approver=str(ctx.actor.user.pk) if ctx.actor.user else "",
        now=ctx.now(),
    )
    halt.approved_by, halt.approved_by_name = ctx.actor.user, ctx.actor.name
    _resume(ctx, control, halt)
    return control


@transaction.atomic
def cancel_orders(ctx: Context, *, venue: str, selection: dict[str, Any], reason: str) -> CancelOrder:
    """Order a part of the open orders on ``venue`` to be cancelled; trading goes on. Needs TRADING_CANCEL.

    ``selection`` holds any of scope, symbol, strategy and side; what is left out takes all of its sort.
    NotFound lists what there is when one of them is none here: a slip must not look like orders that were cancelled.
    """
    require(ctx, Capability.TRADING_CANCEL, object_type="venue", object_id=venue)
    reason, chosen = checked_reason(reason), plans.checked_selection(selection)
    place = Venue.objects.filter(name=venue).first()
    if place is None:
        raise NotFound(f"there is no venue {venue!r}")
    _must_exist(plans.checked_scope(chosen["scope"]))
    if chosen["symbol"]:
        listed = Instrument.objects.filter(venue=place).order_by("symbol").values_list("symbol", flat=True)
        _must_be_among("instrument", chosen["symbol"], list(listed))
    if chosen["strategy"]:
        _strategy_must_exist(chosen["strategy"])
    order = CancelOrder.objects.create(venue=place, selection=chosen, reason=reason, by=ctx.actor.name, at=ctx.now())
    audit.record(
        ctx.because(reason),
        event="trading.orders.cancel_some",
        object_type="venue",
        object_id=venue,
        after=cancel_row(order),
    )
    send_after_commit(
        "gekko.execution.cancel_some", number=order.pk, selection=chosen, reason=reason, by=ctx.actor.name
    )
    return order


def adopt_scope_halt(ctx: Context, *, scope: str, reason: str, by: str, journal_seq: int) -> None:
    """A loop halted the scope itself: from now on that is what is wanted everywhere. In the caller's transaction."""
    control = _locked(ctx, scope)
    if control.halted:
        return
    _change(ctx, control, halted=True, reason=reason[:500], by=by)
    halt = _open(ctx, control, automatic=True)
    after: dict[str, Any] = {"halt": str(halt.id), "by": by, "journal_seq": journal_seq}
    _finish(ctx, control, event="trading.scope.halted_itself", after=after, why=reason)


def _must_exist(scope: Scope) -> None:
    """Refuse a scope that nothing belongs to: a slip in its name must not look like a halt."""
    known: Sequence[str] = ()
    if scope.kind is ScopeKind.VENUE:
        known = venue_names()
    elif scope.kind is ScopeKind.INSTRUMENT:
        known = instrument_symbols()
    elif scope.kind is ScopeKind.DESK:
        known = desk_names()
    elif scope.kind is ScopeKind.STRATEGY:
        _strategy_must_exist(scope.name)
        return
    else:
        return
    _must_be_among(scope.kind.value, scope.name, known)


def _strategy_must_exist(name: str) -> None:
    """One that ran is known without the catalogue: a broken file in it must not keep anybody from halting."""
    ran = ran_strategies()
    if name not in ran:
        _must_be_among("strategy", name, sorted({*ran, *strategy_names()}))


def _must_be_among(what: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise NotFound(f"there is no {what} {name!r}; known: {', '.join(known) or 'none'}")


def _locked(ctx: Context, scope: str) -> ScopeControl:
    ScopeControl.objects.get_or_create(scope=scope, defaults={"changed_at": ctx.now()})
    return ScopeControl.objects.select_for_update().get(scope=scope)


def _locked_halt(scope: str) -> tuple[ScopeControl, ScopeHalt]:
    control = ScopeControl.objects.select_for_update().filter(scope=scope).first()
    halt = ScopeHalt.objects.filter(control=control, resumed_at=None).first() if control is not None else None
    if control is None or halt is None:
        raise IllegalTransition(f"{scope} is not halted, there is nothing to resume", state="active")
    return control, halt


def _change(ctx: Context, control: ScopeControl, *, halted: bool, reason: str, by: str = "") -> None:
    control.halted = halted
    control.version += 1
    control.reason, control.by, control.changed_at = reason, by or ctx.actor.name, ctx.now()
    control.save()


def _open(ctx: Context, control: ScopeControl, *, automatic: bool) -> ScopeHalt:
    return ScopeHalt.objects.create(
        control=control,
        reason=control.reason,
        halted_by=control.by,
        halted_at=ctx.now(),
        automatic=automatic,
        version=control.version,
        effective_at=ctx.now() if automatic else None,
    )


def _resume(ctx: Context, control: ScopeControl, halt: ScopeHalt) -> None:
    _change(ctx, control, halted=False, reason=halt.request_reason)
    halt.resumed_by, halt.resumed_at, halt.resume_reason = halt.requested_by_name, ctx.now(), halt.request_reason
    halt.save()
    people = {"requested_by": halt.requested_by_name, "approved_by": halt.approved_by_name}
    _finish(ctx, control, event="trading.scope.resumed", after=people, why=halt.request_reason)


def _finish(ctx: Context, control: ScopeControl, *, event: str, after: dict[str, Any], why: str) -> None:
    row = scope_row(control)
    outbox.publish(ctx, topic="halts", kind="scope.changed", key=scope_key(control.scope), data=row)
    audit.record(
        ctx.because(why),
        event=event,
        object_type="scope",
        object_id=control.scope,
        before={"halted": not control.halted},
        after={"halted": control.halted, "version": control.version, **after},
    )
    wanted = {name: row[name] for name in ("scope", "halted", "reason", "by", "version")}
    send_after_commit("gekko.execution.set_scopes", scopes=[wanted])
