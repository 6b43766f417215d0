"""Any way of cutting a journal into batches, with repeats, makes the same rows; and they are the engine's own books."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.forms.models import model_to_dict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.clock import FrozenClock
from apps.core.context import service_context
from apps.trading import models, services
from apps.trading.models.orders import FillDay
from tests.factories import journal
from tests.property.test_books_venues import journals as venue_journals
from workers.engine.accounting.books import replay
from workers.engine.events import Record
from workers.engine.instruments import at_venue, from_atoms, from_money

CTX = service_context("projector", clock=FrozenClock())
TABLES: tuple[Any, ...] = (
    models.Order,
    models.Fill,
    FillDay,
    models.Position,
    models.Balance,
    models.EquityPoint,
    models.FeedObservation,
    models.RunObservation,
    models.ReconciliationRun,
    models.TradingControl,
    models.Halt,
    models.LedgerPosting,
    models.AttributionCell,
)


def table_contents() -> dict[str, list[dict[str, Any]]]:
    found = {}
    for model in TABLES:
        rows = [model_to_dict(row) for row in model.objects.all()]
        for row in rows:
            row.pop("id", None)
        found[model.__name__] = sorted(rows, key=repr)
    cursor = models.JournalCursor.objects.get(worker="w")
    found["cursor"] = [{"seq": cursor.seq, "hash": cursor.hash, "epoch": cursor.epoch}]
    return found


def projected(batches: list[list[Record]]) -> dict[str, list[dict[str, Any]]]:
    """Project into empty tables, look, and leave nothing behind."""
    with transaction.atomic():
        for batch in batches:
            services.project(CTX, worker="w", records=batch)
        contents = table_contents()
        transaction.set_rollback(True)
    return contents


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**20), orders=st.integers(0, 25), cuts=st.randoms(use_true_random=False))
def test_any_split_with_repeats_makes_the_same_rows(seed: int, orders: int, cuts: random.Random) -> None:
    whole = journal.records(journal.trading_day(seed, orders))
    batches, start = [], 0
    while start < len(whole):
        size = cuts.randrange(1, 20)
        overlap = cuts.randrange(0, 5)
        batches.append(whole[max(0, start - overlap) : start + size])
        start += size
    assert projected(batches) == projected([whole])


@pytest.mark.django_db
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=venue_journals(), cut=st.integers(1, 40))
def test_rows_of_an_account_at_several_venues_equal_the_engines_books(events: list[Any], cut: int) -> None:
    books, records = replay(events), journal.records(events)
    with transaction.atomic():
        for part in (records[:cut], records[cut:]):
            services.project(CTX, worker="w", records=part)
        for line in books.lines.values():
            row = models.Position.objects.filter(symbol=line.symbol).first()
            made = (row.quantity, row.cost, row.realised, row.fees) if row else (Decimal(0),) * 4
            moneys = (from_money(amount) for amount in (line.cost, line.realised, line.fees))
            assert made == (from_atoms(line.position), *moneys)
        rows = dict(models.Balance.objects.values_list("asset", "total"))
        cash = {at_venue("USDT", venue, books.venue): from_money(held) for venue, held in books.cash_at.items()}
        for asset, total in books.balances().items():
            assert rows.get(asset, Decimal(0)) == cash.get(asset, from_atoms(total))
        posted = models.LedgerPosting.objects.filter(account="cash").values_list("asset", "value")
        for asset, held in cash.items():
            assert sum((value for key, value in posted if key == asset), Decimal(0)) == held
        transaction.set_rollback(True)


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**20), orders=st.integers(0, 40))
def test_rows_equal_the_engines_books(seed: int, orders: int) -> None:
    day = journal.trading_day(seed, orders)
    books = replay(day)
    with transaction.atomic():
        services.project(CTX, worker="w", records=journal.records(day))
        for line in books.lines.values():
            row = models.Position.objects.get(symbol=line.symbol)
            assert (row.quantity, row.cost) == (from_atoms(line.position), from_money(line.cost))
            assert (row.realised, row.fees) == (from_money(line.realised), from_money(line.fees))
        cash = models.Balance.objects.get(asset="USDT").total
        assert cash == from_money(books.cash)
        for asset, total in books.balances().items():
            if asset != "USDT":
                held = models.Balance.objects.filter(asset=asset).first()
                assert (held.total if held else Decimal(0)) == from_atoms(total)
        for client_id, order in books.orders.items():
            projected_order = models.Order.objects.get(client_id=client_id)
            assert projected_order.status == order.status.value
            assert projected_order.filled_notional == from_money(order.notional)
        transaction.set_rollback(True)
