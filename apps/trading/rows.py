"""Public rows: what the API answers and what the outbox carries are the same plain values, decimals as strings."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.core.money import plain
from apps.trading.choices import STILL_OPEN
from apps.trading.domain.positions import per_unit, unrealised
from apps.trading.domain.signals import reason_text
from apps.trading.models import (
    Balance,
    FeedObservation,
    Fill,
    Halt,
    Instrument,
    Order,
    Position,
    ReconciliationRun,
    ResumeRequest,
    TradingControl,
)
from workers.engine.execution.conditional_types import KEPT
from workers.engine.instruments import split_key


def stamp(at: datetime | None) -> str | None:
    """ISO 8601 in UTC, or None."""
    return None if at is None else at.isoformat()


def amount(value: Decimal | None) -> str | None:
    """Canonical text of a decimal, or None."""
    return None if value is None else plain(value)


def execution_venue(symbol: str, home: str) -> str:
    """Name of the venue at which ``symbol`` trades, for an account at ``home``."""
    return split_key(symbol)[1] or home


def order_row(order: Order) -> dict[str, Any]:
    """One order; ``stages`` are nanoseconds, ``reasons`` codes with their words."""
    return {
        "client_id": order.client_id,
        "venue": order.venue_id,
        "execution_venue": execution_venue(order.symbol, order.venue_id),
        "run_id": order.run_id,
        "symbol": order.symbol,
        "side": order.side,
        "order_type": order.order_type,
        "tif": order.tif,
        "status": order.status,
        "open": order.status in STILL_OPEN,
        "quantity": plain(order.quantity),
        "price": amount(order.price),
        "filled_quantity": plain(order.filled_quantity),
        "average_price": amount(per_unit(order.filled_notional, order.filled_quantity)),
        "reference_price": amount(order.reference_price),
        "reduce_only": order.reduce_only,
        "venue_order_id": order.venue_order_id,
        "forecast_id": order.forecast_id,
        "model_digest": order.model_digest,
        "limits_version": order.limits_version,
        "epoch": order.epoch,
        "reasons": [{"code": code, "text": reason_text(code)} for code in order.reasons],
        "detail": order.detail,
        "stages": order.stages,
        "timeline": order.timeline,
        "created_at": stamp(order.created_at),
        "updated_at": stamp(order.updated_at),
        "ended_at": stamp(order.ended_at),
        "trigger_price": amount(order.trigger_price),
        "held_by": _held_by(order),
        "expires_at": stamp(order.expires_at),
        "emulated": bool(order.emulated),
        "emulated_why": order.emulated,
        "origin": order.origin,
        "group": order.group,
        "replaces": order.replaces,
        "parent_id": order.parent_id,
        "version": order.version,
    }


def _held_by(order: Order) -> str:
    """Who watches for the trigger price: ``venue``, ``kernel``, or nobody, for an order that waits for none."""
    if order.trigger_price is None and KEPT not in order.emulated:
        return ""
    return "kernel" if KEPT in order.emulated else "venue"


def fill_row(fill: Fill) -> dict[str, Any]:
    """One execution."""
    return {
        "id": fill_key(fill),
        "venue": fill.venue_id,
        "execution_venue": execution_venue(fill.symbol, fill.venue_id),
        "symbol": fill.symbol,
        "trade_id": fill.trade_id,
        "client_id": fill.client_id,
        "run_id": fill.run_id,
        "side": fill.side,
        "quantity": plain(fill.quantity),
        "price": plain(fill.price),
        "notional": plain(fill.notional),
        "fee": plain(fill.fee),
        "fee_asset": fill.fee_asset,
        "maker": fill.maker,
        "executed_at": stamp(fill.executed_at),
        "recorded_at": stamp(fill.recorded_at),
        "version": fill.version,
    }


def fill_key(fill: Fill) -> str:
    """What makes a fill unique: venue, instrument and the venue's trade id."""
    return f"{fill.venue_id}:{fill.symbol}:{fill.trade_id}"


def position_row(position: Position) -> dict[str, Any]:
    """One position; unrealised is null until there is a mark."""
    gain = unrealised(quantity=position.quantity, cost=position.cost, mark=position.mark)
    value = None if position.mark is None else position.quantity * position.mark
    return {
        "venue": position.venue_id,
        "execution_venue": execution_venue(position.symbol, position.venue_id),
        "symbol": position.symbol,
        "quantity": plain(position.quantity),
        "average_price": amount(per_unit(position.cost, position.quantity)),
        "cost": plain(position.cost),
        "mark": amount(position.mark),
        "value": amount(value),
        "unrealised": amount(gain),
        "realised": plain(position.realised),
        "fees": plain(position.fees),
        "marked_at": stamp(position.marked_at),
        "updated_at": stamp(position.updated_at),
        "version": position.version,
    }


def balance_row(balance: Balance) -> dict[str, Any]:
    return {"asset": balance.asset, "total": plain(balance.total), "updated_at": stamp(balance.updated_at)}


def control_row(control: TradingControl) -> dict[str, Any]:
    """What is wanted of the loop and what it does; topic ``halts``, key the venue."""
    return {
        "object": "control",
        "venue": control.venue_id,
        "state": control.desired_state,
        "version": control.version,
        "reason": control.reason,
        "by": control.by,
        "changed_at": stamp(control.changed_at),
        "cancel_version": control.cancel_version,
        "observed_state": control.observed_state,
        "observed_reason": control.observed_reason,
        "observed_version": control.observed_version,
        "observed_at": stamp(control.observed_at),
        "limits_version": control.limits_version,
    }


def halt_row(halt: Halt) -> dict[str, Any]:
    """One halt, open while ``resumed_at`` is null."""
    return {
        "id": str(halt.id),
        "venue": halt.venue_id,
        "reason": halt.reason,
        "halted_by": halt.halted_by,
        "halted_at": stamp(halt.halted_at),
        "automatic": halt.automatic,
        "control_version": halt.control_version,
        "effective_at": stamp(halt.effective_at),
        "resumed_by": halt.resumed_by,
        "resumed_at": stamp(halt.resumed_at),
        "resume_reason": halt.resume_reason,
    }


def resume_row(request: ResumeRequest) -> dict[str, Any]:
    """One wish to resume that waits, or waited, for another person; topic ``halts``, key its id."""
    return {
        "object": "resume_request",
        "id": str(request.id),
        "venue": request.venue_id,
        "halt": str(request.halt_id),
        "state": request.state,
        "reason": request.reason,
        "approvals_needed": request.approvals_needed,
        "requested_by": request.requested_by_name,
        "requested_at": stamp(request.requested_at),
        "expires_at": stamp(request.expires_at),
        "approved_by": request.approved_by_name,
        "decided_at": stamp(request.decided_at),
        "version": 1 if request.decided_at is None else 2,
    }


def instrument_row(instrument: Instrument) -> dict[str, Any]:
    return {
        "venue": instrument.venue_id,
        "symbol": instrument.symbol,
        "base": instrument.base,
        "quote": instrument.quote,
        "tick": plain(instrument.tick),
        "lot": plain(instrument.lot),
        "min_quantity": plain(instrument.min_lots * instrument.lot),
        "max_quantity": plain(instrument.max_lots * instrument.lot),
        "min_notional": plain(instrument.min_notional),
        "maker_fee": plain(instrument.maker_fee),
        "taker_fee": plain(instrument.taker_fee),
    }


def feed_row(feed: FeedObservation) -> dict[str, Any]:
    return {
        "venue": feed.venue_id,
        "symbol": feed.symbol,
        "state": feed.state,
        "detail": feed.detail,
        "changed_at": stamp(feed.changed_at),
    }


def reconciliation_row(run: ReconciliationRun) -> dict[str, Any]:
    return {
        "id": run.pk,
        "venue": run.venue_id,
        "at_venue": run.at_venue,
        "at": stamp(run.at),
        "ok": run.ok,
        "compared": run.compared,
        "orders_checked": run.orders_checked,
        "fills_adopted": run.fills_adopted,
        "breaks": run.breaks,
    }
