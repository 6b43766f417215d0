"""What the loop reported of its own state, written beside what is wanted of it."""

from __future__ import annotations

from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import Context
from apps.trading.domain.projection import Books, StateChange
from apps.trading.domain.states import at, short
from apps.trading.models import Halt, ScopeHalt, TradingControl, Venue
from apps.trading.rows import control_row
from apps.trading.services.scopes import adopt_scope_halt
from workers.engine.vocabulary import TradingState


def observe_control(ctx: Context, *, venue: Venue, books: Books) -> None:
    """Take the batch's trading states and limits into the control row; publish it when anything changed."""
    if not books.states and books.limits is None:
        return
    control = TradingControl.objects.select_for_update().get(venue=venue)
    for change in books.states:
        _observe_state(ctx, control, change)
    if books.limits is not None:
        control.limits_version, control.limits_digest = books.limits.version, books.limits.digest
    control.save()
    outbox.publish(ctx, topic="halts", kind="control.observed", key=venue.name, data=control_row(control))


def _observe_state(ctx: Context, control: TradingControl, change: StateChange) -> None:
    control.observed_state, control.observed_reason = change.state.value, short(change.reason)
    control.observed_at = at(change.ts)
    control.observed_version = max(control.observed_version, change.control_version)
    if change.state is not TradingState.HALTED:
        return
    if change.control_version == 0 and control.desired_state != TradingState.HALTED:
        _adopt_halt(ctx, control, change)
    Halt.objects.filter(venue=control.venue, resumed_at=None, effective_at=None).update(effective_at=at(change.ts))


def _adopt_halt(ctx: Context, control: TradingControl, change: StateChange) -> None:
    """The loop halted itself: from now on that is what is wanted, and only a person's resume ends it."""
    control.desired_state = TradingState.HALTED.value
    control.version += 1
    control.reason, control.by, control.changed_at = short(change.reason), change.by, at(change.ts)
    halt = Halt.objects.create(
        venue=control.venue,
        reason=short(change.reason),
        halted_by=change.by,
        halted_at=at(change.ts),
        automatic=True,
        control_version=control.version,
    )
    audit.record(
        ctx,
        event="trading.halt.automatic",
        object_type="venue",
        object_id=control.venue_id,
        after={"halt": str(halt.id), "reason": change.reason, "by": change.by, "journal_seq": change.seq},
    )


def observe_scopes(ctx: Context, *, books: Books) -> None:
    """Take the batch's halts by scope: adopt those that the loop made, note when an ordered one took effect."""
    for seq, change in books.scopes:
        if not change.halted:
            continue
        if change.version == 0:
            adopt_scope_halt(ctx, scope=change.scope, reason=change.reason, by=change.by, journal_seq=seq)
            continue
        waiting = ScopeHalt.objects.filter(control_id=change.scope, resumed_at=None, effective_at=None)
        waiting.filter(version__lte=change.version).update(effective_at=at(change.ts))
