"""Loading the rows that a batch of journal records may touch, and saving those that it changed, in bulk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, date
from typing import Any, Final

from django.db import connection, models

from apps.trading.domain import projection
from apps.trading.domain.parents import ParentState
from apps.trading.domain.states import OrderState, PositionState, at
from apps.trading.models import (
    Balance,
    EquityPoint,
    FeedObservation,
    Fill,
    Instrument,
    Order,
    ParentOrder,
    Position,
    ReconciliationRun,
    RunObservation,
    Venue,
)
from apps.trading.models.adoptions import BalanceAdoption
from apps.trading.models.orders import FillDay
from workers.engine import events as ev
from workers.engine.accounting.line import Line
from workers.engine.instruments import Instrument as EngineInstrument
from workers.engine.instruments import atoms, from_atoms, from_money, money, split_key

_ORDER_FIELDS: Final = tuple(f.name for f in fields(OrderState))
_PARENT_FIELDS: Final = tuple(f.name for f in fields(ParentState))
_RUN_FIELDS: Final = tuple(f.name for f in fields(projection.RunState))
_INSTRUMENT_FIELDS: Final = (
    "symbol",
    "base",
    "quote",
    "tick",
    "lot",
    "min_lots",
    "max_lots",
    "min_notional",
    "maker_fee",
    "taker_fee",
)


def load(venue: Venue, records: list[ev.Record]) -> projection.Books:
    """The state before ``records``."""
    client_ids, run_ids, trades = projection.needs(records)
    name = venue.name
    instruments = {row.symbol: engine_instrument(row) for row in Instrument.objects.filter(venue=name)}
    orders = Order.objects.filter(client_id__in=client_ids)
    parent_ids = {row.parent_id for row in orders if row.parent_id}
    parent_ids |= {named for record in records if (named := getattr(record.event, "parent_id", ""))}
    known = Fill.objects.filter(venue=name, trade_id__in={trade for _, trade in trades})
    return projection.Books(
        venue=name,
        instruments=instruments,
        orders={row.client_id: OrderState(**{f: getattr(row, f) for f in _ORDER_FIELDS}) for row in orders},
        positions={
            row.symbol: _position_state(row, instruments[row.symbol]) for row in Position.objects.filter(venue=name)
        },
        balances={row.asset: (row.total, row.updated_at) for row in Balance.objects.filter(venue=name)},
        runs={
            row.run_id: projection.RunState(**{f: getattr(row, f) for f in _RUN_FIELDS})
            for row in RunObservation.objects.filter(run_id__in=run_ids)
        },
        parents={
            row.parent_id: ParentState(**{f: getattr(row, f) for f in _PARENT_FIELDS})
            for row in ParentOrder.objects.filter(parent_id__in=parent_ids)
        },
        known_trades=trades.intersection(known.values_list("symbol", "trade_id")),
    )


def engine_instrument(row: Instrument) -> EngineInstrument:
    """The engine's view of an instrument row."""
    venue = split_key(row.symbol)[1] or row.venue_id
    return EngineInstrument(venue=venue, **{name: getattr(row, name) for name in _INSTRUMENT_FIELDS})


def _position_state(row: Position, instrument: EngineInstrument) -> PositionState:
    line = Line(instrument)
    line.position, line.unpriced = atoms(row.quantity, instrument.base), atoms(row.unpriced, instrument.base)
    line.cost = money(row.cost, instrument.quote)
    line.realised = money(row.realised, instrument.quote)
    line.fees = money(row.fees, instrument.quote)
    # A new session may have changed the grid; a mark off the new grid is replaced by the next one.
    line.mark = int((row.mark or 0) / instrument.tick)
    return PositionState(line=line, updated_at=row.updated_at, marked_at=row.marked_at, version=row.version)


def save(venue: Venue, books: projection.Books) -> tuple[list[Order], list[Fill]]:
    """Upsert everything that changed; return the changed orders and new fills, in the order of the journal."""
    if books.session is not None:
        _save_instruments(venue, books.instruments.values())
    orders = [
        Order(venue_id=venue.name, **{f: getattr(books.orders[client_id], f) for f in _ORDER_FIELDS})
        for client_id in books.changed_orders
    ]
    _upsert(Order, orders, ["client_id"])
    fills = [Fill(venue_id=venue.name, **{f.name: getattr(fill, f.name) for f in fields(fill)}) for fill in books.fills]
    save_fills(venue, fills)
    EquityPoint.objects.bulk_create(
        EquityPoint(venue_id=venue.name, **{f.name: getattr(point, f.name) for f in fields(point)})
        for point in books.equity
    )
    _save_books(venue, books)
    _save_observed(venue, books)
    return orders, fills


def save_fills(venue: Venue, fills: list[Fill]) -> None:
    """Write new fills, and add them to the sums of their days."""
    if not fills:
        return
    Fill.objects.bulk_create(fills)
    days: dict[tuple[date, str, str, str], FillDay] = {}
    for fill in fills:
        key = fill.executed_at.astimezone(UTC).date(), fill.run_id, fill.symbol, fill.fee_asset
        day = days.setdefault(key, FillDay(venue=venue, day=key[0], run_id=key[1], symbol=key[2], fee_asset=key[3]))
        if fill.side == "BUY":
            day.bought, day.paid = day.bought + fill.quantity, day.paid + fill.notional
        else:
            day.sold, day.received = day.sold + fill.quantity, day.received + fill.notional
        day.fee += fill.fee
    # In one order everywhere, so that two writers could not wait for each other.
    rows = [
        (venue.name, *key, day.bought, day.sold, day.paid, day.received, day.fee) for key, day in sorted(days.items())
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_ADD_DAY, rows)


_ADD_DAY: Final = """
INSERT INTO trading_fillday AS known (
    venue_id, day, run_id, symbol, fee_asset, bought, sold, paid, received, fee
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (venue_id, day, run_id, symbol, fee_asset) DO UPDATE SET
    bought = known.bought + EXCLUDED.bought, sold = known.sold + EXCLUDED.sold,
    paid = known.paid + EXCLUDED.paid, received = known.received + EXCLUDED.received, fee = known.fee + EXCLUDED.fee
"""


def _save_instruments(venue: Venue, instruments: Iterable[EngineInstrument]) -> None:
    rows = [
        Instrument(venue_id=venue.name, **{name: getattr(one, name) for name in _INSTRUMENT_FIELDS})
        for one in instruments
    ]
    _upsert(Instrument, rows, ["venue", "symbol"])


def _save_books(venue: Venue, books: projection.Books) -> None:
    positions = [_position_row(venue, books.positions[symbol]) for symbol in books.changed_positions]
    _upsert(Position, positions, ["venue", "symbol"])
    balances = [
        Balance(venue_id=venue.name, asset=asset, total=books.balances[asset][0], updated_at=books.balances[asset][1])
        for asset in books.changed_balances
    ]
    _upsert(Balance, balances, ["venue", "asset"])


def _position_row(venue: Venue, held: PositionState) -> Position:
    line = held.line
    return Position(
        venue_id=venue.name,
        symbol=line.symbol,
        quantity=from_atoms(line.position),
        unpriced=from_atoms(line.unpriced),
        cost=from_money(line.cost),
        realised=from_money(line.realised),
        fees=from_money(line.fees),
        mark=line.instrument.price(line.mark) if line.mark else None,
        marked_at=held.marked_at,
        updated_at=held.updated_at,
        version=held.version,
    )


def _save_observed(venue: Venue, books: projection.Books) -> None:
    runs = [
        RunObservation(venue_id=venue.name, **{f: getattr(books.runs[run_id], f) for f in _RUN_FIELDS})
        for run_id in books.changed_runs
    ]
    _upsert(RunObservation, runs, ["run_id"])
    feeds = [
        FeedObservation(venue_id=venue.name, symbol=symbol, state=state, detail=detail, changed_at=changed_at)
        for symbol, (state, detail, changed_at) in books.feeds.items()
    ]
    _upsert(FeedObservation, feeds, ["venue", "symbol"])
    for decision, done_at in books.adopted:
        BalanceAdoption.objects.filter(pk=decision).update(carried_out_at=done_at)
    ReconciliationRun.objects.bulk_create(_reconciliation(venue, seq, event) for seq, event in books.reconciliations)


def _reconciliation(venue: Venue, seq: int, event: ev.ReconciliationDone) -> ReconciliationRun:
    return ReconciliationRun(
        venue_id=venue.name,
        at_venue=event.venue,
        at=at(event.ts),
        seq=seq,
        ok=event.ok,
        compared=event.compared,
        orders_checked=event.orders_checked,
        fills_adopted=event.fills_adopted,
        breaks=list(event.breaks),
    )


def _upsert(model: type[models.Model], rows: list[Any], unique: list[str]) -> None:
    """Insert, or replace every other column of the row that ``unique`` names."""
    if not rows:
        return
    kept = {*unique, model._meta.pk.name if model._meta.pk else "id"}  # noqa: SLF001 - Django's documented Model._meta
    columns = [f.name for f in model._meta.concrete_fields if f.name not in kept]  # noqa: SLF001 - as above
    manager: Any = model._default_manager  # noqa: SLF001 - as above
    manager.bulk_create(rows, update_conflicts=True, unique_fields=unique, update_fields=columns)
