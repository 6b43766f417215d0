"""The ledger and the attribution as rows and over HTTP."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db.models import Count, Sum

from apps.core.context import service_context
from apps.trading import models, services
from tests.factories import journal
from tests.factories.people import Browser, make_person, signed_in
from workers.engine import events as ev
from workers.engine.accounting.books import replay
from workers.engine.accounting.ledger import post
from workers.engine.instruments import from_money

pytestmark = pytest.mark.django_db
PROCESS = service_context("projector")
FUNDED = ev.FundingSettled(ts=journal.START + 10**12, symbol="BTCUSDT", amount=-1_234_567, ts_event=77)
DAY = [*journal.trading_day(5, 60), FUNDED, journal.marked(journal.START + 10**12, marks={"ETHUSDT": 305_000})]


@pytest.fixture
def traded() -> None:
    services.project(PROCESS, worker="w", records=journal.records(DAY))


@pytest.fixture
def viewer() -> Browser:
    return signed_in(make_person("vic"))


def test_rows_are_the_engines_ledger_and_every_entry_balances(traded: None) -> None:
    ledger, entries = post(DAY)
    assert models.LedgerPosting.objects.count() == sum(len(entry.postings) for entry in entries)
    sums = models.LedgerPosting.objects.values("seq").annotate(total=Sum("value"), lines=Count("id")).order_by()
    assert len(sums) == len(entries)
    assert all(row["total"] == 0 for row in sums)
    for account, total in ledger.totals.items():
        rows = models.LedgerPosting.objects.filter(account=account.value).aggregate(total=Sum("value"))
        assert (rows["total"] or 0) == from_money(total)
    quote = models.Balance.objects.get(asset="USDT").total
    assert quote == from_money(ledger.cash)


def test_postings_are_filtered_by_account_and_period_and_paged(traded: None, viewer: Browser) -> None:
    first = viewer.get("/api/v1/ledger/?account=fees&limit=5").json()
    assert {row["account"] for row in first["results"]} == {"fees"}
    following = viewer.get(first["next"]).json()
    assert not {row["id"] for row in first["results"]} & {row["id"] for row in following["results"]}
    edge = first["results"][-1]["at"]
    before = viewer.get("/api/v1/ledger/", {"account": "fees", "until": edge, "limit": 500}).json()["results"]
    assert before
    assert all(row["at"] < edge for row in before)
    entry = viewer.get("/api/v1/ledger/", {"entry": first["results"][0]["entry"], "venue": "paper"}).json()["results"]
    assert sum(Decimal(row["value"]) for row in entry) == 0
    assert viewer.get("/api/v1/ledger/?account=gold").status_code == 400


@pytest.mark.parametrize("by", ["strategy", "instrument", "venue", "desk"])
def test_attribution_sums_to_the_books_exactly(traded: None, viewer: Browser, by: str) -> None:
    books = replay(DAY)
    answer = viewer.get("/api/v1/pnl/attribution/", {"by": by, "venue": "paper"}).json()
    for name, value in (("realised", books.realised), ("fees", books.fees), ("funding", books.funding)):
        assert sum(Decimal(row[name]) for row in answer["rows"]) == Decimal(answer["total"][name]) == from_money(value)
    assert sum(Decimal(row["total"]) for row in answer["rows"]) == Decimal(answer["total"]["total"])
    if by == "strategy":
        assert "forecast_portfolio" in {row["key"] for row in answer["rows"]}


def test_nobody_reads_the_ledger_without_signing_in() -> None:
    for path in ("/api/v1/ledger/", "/api/v1/pnl/attribution/"):
        assert Browser().get(path).status_code == 401


def test_a_journal_that_was_projected_before_the_ledger_begins_with_an_opening_entry() -> None:
    whole = journal.records(DAY)
    half = len(whole) // 2
    services.project(PROCESS, worker="w", records=whole[:half])
    models.LedgerPosting.objects.all().delete()
    models.AttributionCell.objects.all().delete()
    services.project(PROCESS, worker="w", records=whole[half:])
    opening = models.LedgerPosting.objects.filter(kind="opening")
    assert {row.seq for row in opening} == {half}
    assert sum(row.value for row in opening) == 0
    books = replay(DAY)
    for account, total in (("cash", books.cash), ("inventory", books.cost), ("realised", -books.realised)):
        assert models.LedgerPosting.objects.filter(account=account).aggregate(t=Sum("value"))["t"] == from_money(total)


def test_a_settlement_delivered_again_counts_once(traded: None) -> None:
    before = models.Balance.objects.get(asset="USDT").total
    cursor = models.JournalCursor.objects.get(worker="w")
    again = journal.records([FUNDED], after=(cursor.seq, cursor.hash))
    services.project(PROCESS, worker="w", records=again)
    assert models.Balance.objects.get(asset="USDT").total == before
    assert models.LedgerPosting.objects.filter(kind="funding").values("seq").distinct().count() == 1
