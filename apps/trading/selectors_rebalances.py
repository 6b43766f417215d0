"""Reading rebalance runs, and what they are computed from."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from apps.core.errors import NotFound
from apps.trading.models import (
    Balance,
    Instrument,
    Order,
    Position,
    RebalanceRun,
    RebalanceSchedule,
    RebalanceState,
)
from apps.trading.rows_rebalances import Pair, live_execution, live_run, live_schedule
from apps.trading.services.books import engine_instrument
from workers.engine.instruments import Instrument as EngineInstrument
from workers.engine.vocabulary import OPEN_STATUSES

SNAPSHOT_RUNS: Final = 50
SNAPSHOT_SCHEDULES: Final = 10
MARKET_MARGIN = Decimal("1.05")
"""A market buy is taken to cost up to this much more than its reference, as in the gate."""


class Held(NamedTuple):
    """One instrument as the records have it; ``mark`` is None before the first."""

    instrument: EngineInstrument
    quantity: Decimal
    mark: Decimal | None


def rebalances(venue: str | None = None) -> QuerySet[RebalanceRun]:
    """Runs with what became of them, newest first."""
    every = RebalanceRun.objects.select_related("execution").prefetch_related("execution__legs__parent")
    found = every if venue is None else every.filter(venue_id=venue)
    return found.order_by("-requested_at", "-id")


def get_run(run_id: UUID | str) -> RebalanceRun:
    """One run with its execution; NotFound."""
    run = rebalances().filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"there is no rebalance {run_id}")
    return run


def schedules() -> QuerySet[RebalanceSchedule]:
    """Standing policies, newest first."""
    return RebalanceSchedule.objects.order_by("-set_at", "-id")


def snapshot(venue: str) -> list[Pair]:
    """(key, row) pairs that a client of ``rebalances`` starts from: the newest runs, executions and schedules."""
    runs = list(rebalances(venue)[:SNAPSHOT_RUNS])
    executions = [run.execution for run in runs if hasattr(run, "execution")]
    standing = schedules().filter(venue_id=venue)[:SNAPSHOT_SCHEDULES]
    return [*map(live_run, runs), *map(live_execution, executions), *map(live_schedule, standing)]


def last_done(venue: str) -> datetime | None:
    """When a rebalance of ``venue`` last found a book with trades; None before."""
    done = RebalanceRun.objects.filter(venue_id=venue, state=RebalanceState.DONE).exclude(outcome__trades=[])
    return done.order_by("-requested_at", "-id").values_list("finished_at", flat=True).first()


def holdings(venue: str, symbols: tuple[str, ...]) -> list[Held]:
    """What is held of ``symbols`` (of all that are listed when there are none), by symbol, flat ones included."""
    listed = Instrument.objects.filter(venue_id=venue).order_by("symbol")
    if symbols:
        listed = listed.filter(symbol__in=symbols)
    positions = {row.symbol: row for row in Position.objects.filter(venue_id=venue)}
    found = []
    for row in listed:
        held = positions.get(row.symbol)
        quantity, mark = (held.quantity, held.mark) if held is not None else (Decimal(0), None)
        found.append(Held(engine_instrument(row), quantity, mark))
    return found


def total_cash(venue: str, quote: str) -> Decimal:
    """Balance of the quote asset; 0 before there is one."""
    return Balance.objects.filter(venue_id=venue, asset=quote).values_list("total", flat=True).first() or Decimal(0)


def free_cash(venue: str, quote: str) -> Decimal:
    """Balance of the quote asset less what open buys may still take of it."""
    total = total_cash(venue, quote)
    fees = dict(Instrument.objects.filter(venue_id=venue).values_list("symbol", "taker_fee"))
    working = Order.objects.filter(venue_id=venue, side="BUY", status__in=[status.value for status in OPEN_STATUSES])
    for order in working:
        price: Any = order.price or (order.reference_price or Decimal(0)) * MARKET_MARGIN
        total -= (order.quantity - order.filled_quantity) * price * (1 + fees.get(order.symbol, Decimal(0)))
    return max(total, Decimal(0))
