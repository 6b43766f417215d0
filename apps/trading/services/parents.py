"""Parent orders of people. What is wanted is a row; the trading loop reads it within a second and works it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction

from apps.accounts.domain.roles import Capability
from apps.accounts.permissions import require
from apps.accounts.services.stepup import consume_grant
from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import ActorKind, Context
from apps.core.errors import IllegalTransition, NotFound
from apps.core.ids import new_id
from apps.trading.domain.control import checked_reason
from apps.trading.domain.parent_preview import digest
from apps.trading.domain.parents import LIVE, REQUESTED, ParentState, plan_request
from apps.trading.domain.routes import RouteState
from apps.trading.domain.states import at
from apps.trading.models import Instrument, ParentOrder, ParentRoute, Venue
from apps.trading.rows_parents import parent_row
from apps.trading.selectors import listed
from apps.trading.selectors_halts import halts_of
from apps.trading.services.books import engine_instrument
from workers.engine.execution.parent import ParentRequest

ACTION = "trading.order"


@transaction.atomic
def submit_parent(
    ctx: Context, *, venue: str, order: Mapping[str, Any], reason: str, grant: UUID | None
) -> ParentOrder:
    """Ask the loop to work a parent order; ``order`` as ``domain.parents.plan_request`` reads it.

    Needs TRADING_ORDER and, of a person, a fresh code for ``trading.order`` on exactly this order, as the preview
    showed it. Invalid names the field that is wrong; IllegalTransition while a halt covers it.
    """
    require(ctx, Capability.TRADING_ORDER, object_type="venue", object_id=venue)
    reason = checked_reason(reason)
    instrument = listed(venue, order["symbol"])
    if ctx.actor.kind is not ActorKind.SERVICE:
        ctx = consume_grant(ctx, grant_id=grant, action=ACTION, object_id=grant_object(instrument, order))
    if halt := halts_of(venue, [instrument.symbol]).get(instrument.symbol):
        raise IllegalTransition(halt, state="HALTED")
    return request_parent(ctx, instrument, order, reason)


def grant_object(instrument: Instrument, order: Mapping[str, Any]) -> str:
    """What leave to order is given for: this order on this venue, as it was shown, and nothing else."""
    grid = engine_instrument(instrument)
    return f"{instrument.venue_id}:{digest(plan_request(order, grid, now_ns=0), grid)}"


def request_parent(ctx: Context, instrument: Instrument, order: Mapping[str, Any], reason: str) -> ParentOrder:
    """Write the wish down, for the loop to take up. Inside a transaction, after leave was checked."""
    request = plan_request(order, engine_instrument(instrument), now_ns=_ns(ctx.now()))
    parent = _create(ctx, instrument, request, reason)
    _publish(ctx, parent, "parent.requested")
    audit.record(
        ctx.because(reason),
        event="trading.parent.requested",
        object_type="parent_order",
        object_id=parent.parent_id,
        after={key: parent_row(parent)[key] for key in ("symbol", "side", "quantity", "algorithm", "limit_price")},
    )
    return parent


def _create(ctx: Context, instrument: Instrument, request: ParentRequest, reason: str) -> ParentOrder:
    grid = engine_instrument(instrument)
    return ParentOrder.objects.create(
        parent_id=str(new_id()),
        venue_id=instrument.venue_id,
        symbol=request.symbol,
        side=request.side.name,
        quantity=grid.quantity(request.lots),
        algorithm=request.algorithm,
        params=request.params,
        starts_at=at(request.start),
        ends_at=at(request.end) if request.end else None,
        limit_price=grid.price(request.limit_price) if request.limit_price else None,
        reduce_only=request.reduce_only,
        seed=request.seed,
        route=request.route,
        by=ctx.actor.name,
        reason=reason,
        request=msgspec.to_builtins(request),
        requested_at=ctx.now(),
        status=REQUESTED,
        updated_at=ctx.now(),
    )


@transaction.atomic
def cancel_parent(ctx: Context, *, parent_id: str, reason: str) -> ParentOrder:
    """Ask the loop to end a parent order and cancel its open children. Needs TRADING_CANCEL.

    One that is to end already stays as it is. NotFound; IllegalTransition when it is over.
    """
    parent = ParentOrder.objects.select_for_update().filter(parent_id=parent_id).first()
    if parent is None:
        raise NotFound(f"there is no parent order {parent_id!r}")
    require(ctx, Capability.TRADING_CANCEL, object_type="venue", object_id=parent.venue_id)
    reason = checked_reason(reason)
    if parent.status not in LIVE:
        raise IllegalTransition(f"parent order {parent_id} is {parent.status} already", state=parent.status)
    if parent.cancel_reason:
        return parent
    parent.cancel_reason, parent.cancel_by = reason, ctx.actor.name
    parent.version += 1
    parent.save(update_fields=["cancel_reason", "cancel_by", "version"])
    _publish(ctx, parent, "parent.cancel_requested")
    audit.record(
        ctx.because(reason),
        event="trading.parent.cancel_requested",
        object_type="parent_order",
        object_id=parent.parent_id,
        before={"status": parent.status},
    )
    return parent


def save_parents(venue: Venue, states: list[ParentState]) -> list[ParentOrder]:
    """Write what the journal says of parents, and none of the columns that people's wishes are in."""
    saved: list[ParentOrder] = []
    for state in sorted(states, key=lambda one: one.parent_id):
        columns = {name: getattr(state, name) for name in PROJECTED if name != "version"}
        row = ParentOrder.objects.select_for_update().filter(parent_id=state.parent_id).first()
        if row is None:
            row = ParentOrder(parent_id=state.parent_id, venue=venue, requested_at=state.requested_at, version=0)
        for name, value in columns.items():
            setattr(row, name, value)
        row.version += 1
        if row.version == 1:
            row.save(force_insert=True)
        else:
            row.save(update_fields=[*columns, "version"])
        saved.append(row)
    return saved


def save_routes(venue: Venue, states: list[RouteState]) -> None:
    """Write routing decisions; one never changes."""
    ParentRoute.objects.bulk_create(
        ParentRoute(venue=venue, **{name: getattr(state, name) for name in RouteState.__slots__}) for state in states
    )


PROJECTED = tuple(name for name in ParentState.__slots__ if name not in ("parent_id", "requested_at"))


def _publish(ctx: Context, parent: ParentOrder, kind: str) -> None:
    outbox.publish(ctx, topic="parents", kind=kind, key=parent.parent_id, data=parent_row(parent))


def _ns(moment: datetime) -> int:
    """Nanoseconds since 1970, exactly."""
    passed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (passed.days * 86_400 + passed.seconds) * 1_000_000_000 + passed.microseconds * 1000
