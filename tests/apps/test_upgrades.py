"""A database with rows of an older version: nothing is lost, and what reads those rows today can."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.core.context import service_context
from apps.core.errors import IllegalTransition
from apps.policies.domain.limits import default_limits, digest
from apps.policies.rows import limits_row
from apps.policies.selectors import active_limits, get_limits
from apps.policies.services_publications import publish
from apps.streaming.topics import TOPICS
from apps.trading import models
from apps.trading.models.orders import FillDay
from apps.trading.rows_parents import parent_row
from apps.trading.selectors_adoptions import current_breaks
from apps.trading.selectors_executions import preview
from apps.trading.selectors_rebalances import get_run

pytestmark = pytest.mark.django_db(transaction=True)

NIGHT = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
BEFORE = [("trading", "0010_cancel_time"), ("policies", "0002_overrides")]


@pytest.fixture
def old() -> Iterator[Apps]:
    """The models of the older version, on a database that is as it was then."""
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE)
    yield executor.loader.project_state(BEFORE).apps
    upgrade()


def upgrade() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def fill(apps: Apps, number: int, **changes: Any) -> None:
    fields = {
        "venue_id": "paper",
        "symbol": "BTCUSDT",
        "trade_id": number,
        "client_id": f"c-{number}",
        "run_id": "run-1",
        "side": "BUY",
        "quantity": Decimal("0.1"),
        "price": Decimal(50_000),
        "notional": Decimal(5_000),
        "fee": Decimal(5),
        "fee_asset": "USDT",
        "executed_at": NIGHT,
        "recorded_at": NIGHT,
        "seq": number,
    }
    apps.get_model("trading", "Fill").objects.create(**{**fields, **changes})


def trading_rows(apps: Apps) -> str:
    """A day of trading as it was kept then; the id of its rebalance."""
    make = apps.get_model
    make("trading", "Venue").objects.create(name="paper", created_at=NIGHT)
    make("trading", "Instrument").objects.create(
        venue_id="paper",
        symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        tick=Decimal("0.01"),
        lot=Decimal("0.00001"),
        min_lots=1,
        max_lots=10**9,
        min_notional=Decimal(10),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.001"),
    )
    make("trading", "TradingControl").objects.create(venue_id="paper", changed_at=NIGHT)
    fill(apps, 1)
    fill(apps, 2, side="SELL", notional=Decimal(5_100), price=Decimal(51_000))
    fill(apps, 3, executed_at=NIGHT + timedelta(seconds=1))
    fill(apps, 4, run_id="", fee=Decimal("0.0001"), fee_asset="BTC")
    make("trading", "Balance").objects.create(venue_id="paper", asset="USDT", total=Decimal(100), updated_at=NIGHT)
    make("trading", "ReconciliationRun").objects.create(
        venue_id="paper",
        at=NIGHT,
        seq=9,
        ok=False,
        orders_checked=1,
        fills_adopted=0,
        breaks=["USDT: 100 here, 99.5 at the venue"],
    )
    make("trading", "ParentOrder").objects.create(
        parent_id="p-1",
        venue_id="paper",
        symbol="BTCUSDT",
        side="BUY",
        quantity=Decimal(1),
        algorithm="twap",
        starts_at=NIGHT,
        by="ann",
        requested_at=NIGHT,
        status="WORKING",
        updated_at=NIGHT,
    )
    run = make("trading", "RebalanceRun").objects.create(
        venue_id="paper",
        state="done",
        method="risk_budget",
        policy={"schema": 1, "method": "risk_budget"},
        policy_digest="p" * 64,
        inputs={"bars": 90, "interval": "1h", "quote": "USDT"},
        outcome={
            "status": "optimal",
            "why": "",
            "cost": "1",
            "equity": "50100",
            "targets": {"BTCUSDT": {"price": "50000"}},
            "trades": [{"side": "SELL", "symbol": "BTCUSDT", "quantity": "0.5"}],
        },
        requested_by_name="ann",
        requested_at=NIGHT,
        finished_at=NIGHT,
    )
    for later in (1, 2):
        make("trading", "RebalanceRun").objects.create(
            venue_id="paper",
            state="running",
            method="risk_budget",
            policy={},
            policy_digest="p" * 64,
            requested_by_name="ann",
            requested_at=NIGHT + timedelta(hours=later),
        )
    return str(run.pk)


def test_trading_records_of_before_are_read_as_they_are_today(old: Apps) -> None:
    run_id = trading_rows(old)
    upgrade()
    days = FillDay.objects.order_by("day", "run_id").values_list(
        "day", "run_id", "fee_asset", "bought", "sold", "paid", "received", "fee"
    )
    first, second = NIGHT.date(), NIGHT.date() + timedelta(days=1)
    tenth, nothing = Decimal("0.1"), Decimal(0)
    assert list(days) == [
        (first, "", "BTC", tenth, nothing, Decimal(5_000), nothing, Decimal("0.0001")),
        (first, "run-1", "USDT", tenth, tenth, Decimal(5_000), Decimal(5_100), Decimal(10)),
        (second, "run-1", "USDT", tenth, nothing, Decimal(5_000), nothing, Decimal(5)),
    ]
    assert parent_row(models.ParentOrder.objects.get())["route"] is False
    [found] = current_breaks("paper")
    assert (found.asset, found.theirs) == ("USDT", Decimal("99.5"))
    assert models.BalanceAdoption.objects.count() == 0
    models.Balance.objects.create(venue_id="paper", asset="USDT@" + "b" * 32, total=Decimal(1), updated_at=NIGHT)
    held = dict(TOPICS["rebalances"].snapshot())
    assert (held[run_id]["state"], held[run_id]["schedule"]) == ("done", None)
    open_runs = models.RebalanceRun.objects.exclude(pk=run_id).order_by("requested_at")
    assert [(run.state, run.version, run.sent_at) for run in open_runs] == [
        ("failed", 2, NIGHT + timedelta(hours=1)), ("running", 1, NIGHT + timedelta(hours=2)),
    ]  # fmt: skip
    later = NIGHT + timedelta(minutes=1)
    assert "before proposals could be approved" in preview(get_run(run_id), later)["problem"]
    models.RebalanceRun.objects.filter(pk=run_id).update(policy={"method": "risk_budget", "of_old": 1})
    with pytest.raises(IllegalTransition, match="cannot be used by this version"):
        preview(get_run(run_id), later)


def test_limits_of_before_hold_on_and_their_drafts_can_be_published(old: Apps) -> None:
    content = default_limits()
    made = {"limits": content, "digest": digest(content), "created_by": "ann", "created_at": NIGHT}
    limits = old.get_model("policies", "RiskLimits").objects
    limits.create(number=1, state="active", published_by="ann", published_at=NIGHT, signature="s", **made)
    limits.create(number=2, state="draft", **made)
    upgrade()
    held = active_limits()
    assert held is not None
    assert (held["version"], held["digest"]) == (1, digest(content))
    row = limits_row(get_limits(1))
    assert (row["publication"], row["discarded_at"], row["discard_reason"]) == (None, None, "")
    assert publish(service_context("bootstrap"), number=2, grant=None).state == "active"
