"""Pruning: what is beyond the settings goes in small parts, what is evidence stays, and the trail says so once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.audit.models import AuditEntry
from apps.core.clock import FrozenClock
from apps.core.context import Context, service_context
from apps.trading import models
from apps.trading.services import retention

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 15, 10, 30, tzinfo=UTC)
NOTHING = {"backtests": 0, "rebalances": 0, "equity_points": 0}


@pytest.fixture
def ctx(settings: Any) -> Context:
    settings.GEKKO_RETENTION = {
        "backtests": 3, "backtest_days": 10, "rebalances": 2, "rebalance_days": 10, "equity_full_days": 2,
        "equity_hourly_days": 5,
    }  # fmt: skip
    return service_context("trading", clock=FrozenClock(NOW))


@pytest.fixture
def venue() -> models.Venue:
    return models.Venue.objects.create(name="paper", created_at=NOW)


def backtest(days: float, **changes: Any) -> models.Backtest:
    at = NOW - timedelta(days=days)
    values = {"strategy": "s", "data": "d", "state": "done", "requested_by": "ann", "requested_at": at, "sent_at": at}
    return models.Backtest.objects.create(**{**values, **changes})


def run_of(venue: models.Venue, days: float, state: str = "done") -> models.RebalanceRun:
    at = NOW - timedelta(days=days)
    return models.RebalanceRun.objects.create(
        venue=venue, state=state, policy={}, requested_by_name="ann", requested_at=at, sent_at=at
    )


def pruned() -> list[dict[str, int]]:
    entries = AuditEntry.objects.filter(event="trading.records.pruned").order_by("seq")
    return [entry.after["removed"] for entry in entries if entry.after is not None]


def test_backtests_beyond_number_or_age_go_and_those_under_way_stay(ctx: Context) -> None:
    kept = [backtest(1), backtest(2), backtest(3), backtest(30, state="running"), backtest(30, state="queued")]
    backtest(4)
    search = backtest(20, kind="search")
    backtest(20, kind="trial", search=search, number=0)
    assert retention.prune(ctx) == {**NOTHING, "backtests": 3}
    assert set(models.Backtest.objects.all()) == set(kept)
    assert retention.prune(ctx) == NOTHING
    assert pruned() == [{**NOTHING, "backtests": 3}]


def test_a_rebalance_whose_trades_were_made_stays_for_ever(ctx: Context, venue: models.Venue) -> None:
    kept = [run_of(venue, 1), run_of(venue, 2), run_of(venue, 300), run_of(venue, 40, "running")]
    models.RebalanceExecution.objects.create(
        run=kept[2], venue=venue, state="done", digest="d", reason="r", approved_by_name="ann", approved_at=NOW
    )
    run_of(venue, 3, "failed")
    run_of(venue, 50, "refused")
    standing = run_of(venue, 60)
    models.RebalanceSchedule.objects.create(
        venue=venue, policy={}, reason="r", set_by_name="ann", set_at=NOW, next_at=NOW, last_run=standing
    )
    assert retention.prune(ctx)["rebalances"] == 2
    assert set(models.RebalanceRun.objects.all()) == {*kept, standing}


def test_a_part_at_a_time_oldest_first(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BACKTESTS_AT_ONCE", 2)
    for days in range(20, 25):
        backtest(days)
    assert [retention.prune(ctx)["backtests"] for _ in range(4)] == [2, 2, 1, 0]
    assert len(pruned()) == 3


def test_the_equity_line_keeps_all_then_hours_then_day_closes(ctx: Context, venue: models.Venue) -> None:
    """A point every five minutes for eight days; extremes and closes stay, and again there is nothing to do."""
    first = (NOW - timedelta(days=8)).replace(hour=0, minute=0)
    points = [
        models.EquityPoint(
            venue=venue, at=first + timedelta(minutes=5 * n), seq=n, equity=Decimal(100_000 + (n * 7919) % 1000)
        )
        for n in range(8 * 288)
    ]
    models.EquityPoint.objects.bulk_create(points)
    while any(retention.prune(ctx).values()):
        pass
    left = list(models.EquityPoint.objects.order_by("at"))
    full, hourly = NOW - timedelta(days=2), NOW - timedelta(days=5)
    everything = [point for point in points if point.at >= full.replace(minute=0)]
    assert [point.seq for point in left if point.at >= full.replace(minute=0)] == [point.seq for point in everything]
    for width, start, end in (
        ("%Y-%m-%d", first, hourly.replace(hour=0, minute=0)),
        ("%Y-%m-%d %H", hourly.replace(hour=0, minute=0), full.replace(minute=0)),
    ):
        wanted: set[int] = set()
        for name in {point.at.strftime(width) for point in points if start <= point.at < end}:
            bucket = [point for point in points if point.at.strftime(width) == name]
            low, high = min(bucket, key=lambda one: one.equity), max(bucket, key=lambda one: one.equity)
            wanted |= {bucket[-1].seq, low.seq, high.seq}
        assert {point.seq for point in left if start <= point.at < end} == wanted, width


def test_nought_keeps_everything(settings: Any, venue: models.Venue) -> None:
    settings.GEKKO_RETENTION = dict.fromkeys(settings.GEKKO_RETENTION, 0)
    backtest(4000)
    run_of(venue, 4000)
    assert retention.prune(service_context("trading", clock=FrozenClock(NOW))) == NOTHING
    assert not AuditEntry.objects.filter(event="trading.records.pruned").exists()
