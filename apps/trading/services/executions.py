"""Working approved rebalances: their trades become parent orders, step by step, and each trade exactly once.

A parent order is written in the transaction that names it on its leg, and the loop knows parents by their id: whatever
dies before the commit has sent nothing, and whatever dies after it has left its trace. Whoever comes next goes on from
the rows. Locked are, in this order: the venue's control, the run, the execution, its parents, the audit trail.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction

from apps.accounts.models import User
from apps.accounts.permissions import Capability, require
from apps.accounts.services.stepup import consume_grant
from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import ActorKind, Context
from apps.core.errors import Conflict, DomainError, IllegalTransition, NotFound
from apps.core.money import plain
from apps.trading import messages
from apps.trading.domain.control import checked_reason
from apps.trading.domain.parents import LIVE
from apps.trading.domain.states import Signal, short
from apps.trading.models import (
    ExecutionState,
    Instrument,
    LegState,
    ParentOrder,
    RebalanceExecution,
    RebalanceLeg,
    RebalanceRun,
    RebalanceSchedule,
    TradingControl,
)
from apps.trading.models.rebalances import OPEN_EXECUTIONS
from apps.trading.rows_rebalances import live_execution
from apps.trading.selectors import get_control
from apps.trading.selectors_executions import Proposal, cash_of, instruments, proposal_of
from apps.trading.selectors_halts import halts_of
from apps.trading.selectors_rebalances import get_run
from apps.trading.services.parents import cancel_parent, request_parent
from apps.trading.services.projection import signal_message
from apps.trading.services.rebalances import TOPIC
from workers.engine.execution.parent import ParentStatus
from workers.engine.instruments import Instrument as EngineInstrument
from workers.engine.portfolio.execution import Leg, Order, next_orders
from workers.engine.portfolio.policy import parse_policy
from workers.engine.portfolio.problem import PortfolioError

ACTION: Final = "trading.rebalance"

log = structlog.get_logger(__name__)


@transaction.atomic
def approve_rebalance(
    ctx: Context, *, run_id: UUID | str, reason: str, grant: UUID | None, leave: RebalanceSchedule | None = None
) -> RebalanceExecution:
    """Let the trades that a run proposes be made; return what works them.

    Needs TRADING_ORDER and, of a person, a fresh code for ``trading.rebalance`` on exactly these trades. A process
    approves on the ``leave`` of who set a schedule, and the approval is in that person's name. A run is
    approved once. IllegalTransition when it proposes nothing, is too old, or prices or book have moved too far since;
    Conflict while another one of the venue is being worked.
    """
    require(ctx, Capability.TRADING_ORDER, object_type="rebalance", object_id=str(run_id))
    reason, found = checked_reason(reason), get_run(run_id)
    TradingControl.objects.select_for_update().get(pk=get_control(found.venue_id).pk)
    run = RebalanceRun.objects.select_for_update().get(pk=found.pk)
    proposal = proposal_of(run, ctx.now())
    if ctx.actor.kind is not ActorKind.SERVICE:
        ctx = consume_grant(ctx, grant_id=grant, action=ACTION, object_id=proposal.grant_object)
    if proposal.problem:
        raise IllegalTransition(f"rebalance {run.pk} cannot be approved: {proposal.problem}", state="refused")
    other = RebalanceExecution.objects.filter(venue_id=run.venue_id, state__in=OPEN_EXECUTIONS).first()
    if other is not None:
        raise Conflict(f"rebalance {other.run_id} of {run.venue_id} is being worked; wait or cancel it")
    by, name = (leave.set_by, leave.set_by_name) if leave is not None else (ctx.actor.user, ctx.actor.name)
    execution = _create(ctx, proposal, reason, by, name)
    _tell(ctx, execution)
    _step(ctx, execution)
    audit.record(
        ctx.because(reason),
        event="trading.rebalance.approved",
        object_type="rebalance",
        object_id=str(run.pk),
        after={
            "execution": str(execution.pk),
            "approved_by": name,
            "schedule": str(leave.pk) if leave is not None else "",
            "digest": proposal.digest,
            "trades": [t.signed for t in proposal.trades],
        },
    )
    return execution


def _create(ctx: Context, proposal: Proposal, reason: str, by: User | None, name: str) -> RebalanceExecution:
    execution = RebalanceExecution.objects.create(
        run=proposal.run,
        venue_id=proposal.run.venue_id,
        digest=proposal.digest,
        reason=reason,
        approved_by=by,
        approved_by_name=name,
        approved_at=ctx.now(),
    )
    RebalanceLeg.objects.bulk_create(
        RebalanceLeg(
            execution=execution,
            number=number,
            symbol=trade.instrument.symbol,
            side=trade.side,
            quantity=trade.quantity,
            limit_price=trade.limit_price,
        )
        for number, trade in enumerate(proposal.trades)
    )
    return execution


@transaction.atomic
def cancel_execution(ctx: Context, *, run_id: UUID | str, reason: str) -> RebalanceExecution:
    """Send nothing more for an approved rebalance and end its parent orders; what was traded stays.

    Needs TRADING_CANCEL. One that is to end already stays as it is. NotFound; IllegalTransition when it is over.
    """
    require(ctx, Capability.TRADING_CANCEL, object_type="rebalance", object_id=str(run_id))
    reason = checked_reason(reason)
    execution = RebalanceExecution.objects.select_for_update().filter(run=get_run(run_id)).first()
    if execution is None:
        raise NotFound(f"rebalance {run_id} was not approved: there is nothing to cancel")
    if execution.state not in OPEN_EXECUTIONS:
        raise IllegalTransition(f"rebalance {run_id} is {execution.state} already", state=execution.state)
    if execution.state == ExecutionState.CANCELLING:
        return execution
    execution.state, execution.cancel_reason, execution.cancel_by = ExecutionState.CANCELLING, reason, ctx.actor.name
    legs = list(execution.legs.all())
    # All at once and in order, before the trail is locked: the projection of fills locks them too.
    live = ParentOrder.objects.select_for_update(of=("self",)).filter(
        rebalance_leg__in=legs, status__in=LIVE, cancel_reason=""
    )
    _save(ctx, execution)
    for parent in list(live.order_by("parent_id")):
        cancel_parent(ctx, parent_id=parent.parent_id, reason=f"Rebalance cancelled: {reason}"[:500])
    _step(ctx, execution)
    audit.record(
        ctx.because(reason), event="trading.rebalance.cancelled", object_type="rebalance", object_id=str(run_id)
    )
    return execution


def look_after_executions(ctx: Context) -> int:
    """Bring every open execution one step further; return how many there were."""
    found = list(RebalanceExecution.objects.filter(state__in=OPEN_EXECUTIONS).values_list("pk", flat=True))
    for pk in found:
        try:
            advance(ctx, execution_id=pk)
        except (DomainError, PortfolioError, KeyError) as error:
            # One that cannot be brought forward, as what an older version wrote, holds up no other.
            log.exception("rebalance cannot be brought forward", execution=str(pk))
            _hold_up(ctx, pk, error)
    return len(found)


@transaction.atomic
def advance(ctx: Context, *, execution_id: UUID) -> None:
    """Note what became of the legs' parents, send what can be paid for now, and end it with its last leg.

    Nothing happens when it is over, or somebody else is at it.
    """
    execution = _open_one(execution_id)
    if execution is None:
        return
    was_held_up, execution.why = bool(execution.why), ""
    _step(ctx, execution)
    if was_held_up:
        _save(ctx, execution)
        messages.publish_all([signal_message(ctx, execution.venue_id, Signal(_held_up(execution), raised=False))])


def _open_one(execution_id: UUID) -> RebalanceExecution | None:
    open_ones = RebalanceExecution.objects.select_for_update(skip_locked=True, of=("self",))
    return open_ones.filter(pk=execution_id, state__in=OPEN_EXECUTIONS).first()


@transaction.atomic
def _hold_up(ctx: Context, execution_id: UUID, error: Exception) -> None:
    """Tell that an execution does not go on, and why; it is tried again all the same."""
    execution, why = _open_one(execution_id), short(f"it does not go on: {type(error).__name__}: {error}")
    if execution is None or execution.why == why:
        return
    execution.why = why
    _save(ctx, execution)
    signal = Signal(
        _held_up(execution),
        raised=True,
        kind="rebalance_held_up",
        severity="warning",
        title=f"The rebalance of {execution.venue_id} does not go on",
        detail=f"{why}. It is tried again every few seconds; cancel it if that does not help.",
        evidence={"run": str(execution.run_id)},
    )
    messages.publish_all([signal_message(ctx, execution.venue_id, signal)])


def _held_up(execution: RebalanceExecution) -> str:
    return f"rebalance_held_up:{execution.venue_id}:execution"


def _step(ctx: Context, execution: RebalanceExecution) -> None:
    legs = list(execution.legs.select_related("parent"))
    before = [leg.state for leg in legs]
    cancelled = execution.state == ExecutionState.CANCELLING
    for leg in legs:
        _follow(leg, cancelled=cancelled)
    if not cancelled:
        _send(ctx, execution, legs)
    over = all(leg.state not in (LegState.WAITING, LegState.WORKING) for leg in legs)
    if over:
        _end(ctx, execution, legs)
    if over or before != [leg.state for leg in legs]:
        _save(ctx, execution)
    if over:
        _record_end(ctx, execution, legs)


def _save(ctx: Context, execution: RebalanceExecution) -> None:
    execution.version += 1
    execution.save()
    _tell(ctx, execution)


def _tell(ctx: Context, execution: RebalanceExecution) -> None:
    key, row = live_execution(execution)
    outbox.publish(ctx, topic=TOPIC, kind="execution.updated", key=key, data=row)


def _follow(leg: RebalanceLeg, *, cancelled: bool) -> None:
    """Bring a leg in step with its parent; one that waits ends when nothing more is to be sent."""
    parent = leg.parent
    if leg.state == LegState.WAITING and cancelled:
        leg.state = LegState.CANCELLED
    elif leg.state == LegState.WORKING and parent is not None and parent.status not in LIVE:
        done, some = parent.filled_quantity >= leg.quantity, parent.filled_quantity > 0
        rest = LegState.CANCELLED if cancelled else LegState.FAILED
        leg.state = LegState.DONE if done else LegState.PARTIAL if some else rest
        ended = parent.detail or ("" if parent.status == ParentStatus.FILLED else parent.status.lower())
        leg.why = "" if done else short("; ".join(filter(None, (leg.why, ended))))
    else:
        return
    leg.save()


def _send(ctx: Context, execution: RebalanceExecution, legs: Sequence[RebalanceLeg]) -> None:
    waiting = {str(leg.pk): leg for leg in legs if leg.state == LegState.WAITING}
    if not waiting:
        return
    halts = halts_of(execution.venue_id, [leg.symbol for leg in waiting.values()])
    for key, leg in list(waiting.items()):
        if leg.symbol in halts:
            _give_up(waiting.pop(key), f"before it was sent, {halts[leg.symbol]}")
    items = instruments(execution.venue_id)
    for key, leg in list(waiting.items()):
        if leg.symbol not in items:
            _give_up(waiting.pop(key), f"{execution.venue_id} does not list {leg.symbol} any more")
    cash = cash_of(execution.venue_id, items)
    working = [leg for leg in legs if leg.state == LegState.WORKING and leg.symbol in items]
    busy = frozenset(items[leg.symbol].quote_key for leg in working)
    for order in next_orders([_engine_leg(leg, items) for leg in waiting.values()], cash, busy=busy):
        leg = waiting[order.key]
        if not order.lots:
            _give_up(leg, order.why)
            continue
        try:
            with transaction.atomic():
                _order(ctx, execution, leg, order, items[leg.symbol])
        except DomainError as error:
            # What the venue takes has changed since; the others go on.
            _give_up(leg, error.detail)
        except PortfolioError as error:
            _give_up(leg, f"its policy cannot be used by this version: {error}")


def _engine_leg(leg: RebalanceLeg, items: dict[str, EngineInstrument]) -> Leg:
    item = items[leg.symbol]
    return Leg(
        key=str(leg.pk),
        instrument=item,
        buy=leg.side == "BUY",
        lots=int(leg.quantity / item.lot),
        limit=int(leg.limit_price / item.tick),
    )


def _order(
    ctx: Context, execution: RebalanceExecution, leg: RebalanceLeg, order: Order, item: EngineInstrument
) -> None:
    asked = parse_policy(execution.run.policy).execution
    wanted = {
        "symbol": leg.symbol,
        "side": leg.side,
        "quantity": plain(item.quantity(order.lots)),
        "algorithm": asked.algorithm,
        "params": asked.params,
        "duration_s": asked.duration_s,
        "limit_price": plain(leg.limit_price),
    }
    instrument = Instrument.objects.get(venue_id=execution.venue_id, symbol=leg.symbol)
    reason = f"Rebalance {execution.run_id}, approved by {execution.approved_by_name}: {execution.reason}"
    leg.parent = request_parent(ctx, instrument, wanted, reason[:500])
    leg.state, leg.sent_quantity, leg.why = LegState.WORKING, item.quantity(order.lots), order.why
    leg.save()


def _give_up(leg: RebalanceLeg, why: str) -> None:
    leg.state, leg.why = LegState.FAILED, short(why)
    leg.save()


def _end(ctx: Context, execution: RebalanceExecution, legs: Iterable[RebalanceLeg]) -> None:
    short_of = [leg for leg in legs if leg.state != LegState.DONE]
    filled = any(leg.parent is not None and leg.parent.filled_quantity for leg in legs)
    if execution.state == ExecutionState.CANCELLING:
        execution.state = ExecutionState.CANCELLED
    elif not short_of:
        execution.state = ExecutionState.DONE
    else:
        execution.state = ExecutionState.PARTIAL if filled else ExecutionState.FAILED
    execution.why = short("; ".join(f"{leg.symbol} {leg.state}: {leg.why}".rstrip(": ") for leg in short_of))
    execution.finished_at = ctx.now()


def _record_end(ctx: Context, execution: RebalanceExecution, legs: Iterable[RebalanceLeg]) -> None:
    messages.publish_all([signal_message(ctx, execution.venue_id, _signal(execution))])
    rows = [{"symbol": leg.symbol, "side": leg.side, "state": leg.state, "parent": leg.parent_id or ""} for leg in legs]
    audit.record(
        ctx,
        event="trading.rebalance.executed",
        object_type="rebalance",
        object_id=str(execution.run_id),
        after={"execution": str(execution.pk), "state": execution.state, "why": execution.why, "legs": rows},
    )


def _signal(execution: RebalanceExecution) -> Signal:
    fingerprint = f"rebalance_incomplete:{execution.venue_id}"
    if execution.state not in (ExecutionState.PARTIAL, ExecutionState.FAILED):
        return Signal(fingerprint, raised=False)
    return Signal(
        fingerprint,
        raised=True,
        kind="rebalance_incomplete",
        severity="warning",
        title=f"The rebalance of {execution.venue_id} is {ExecutionState(execution.state).label.lower()}",
        detail=f"{execution.why}. What was traded stays; ask for a new book.",
        evidence={"run": str(execution.run_id), "state": execution.state},
    )
