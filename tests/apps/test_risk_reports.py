"""Risk reports from records and a venue's prices to rows, backtests, the live topic and the answer to a question."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from apps.core.clock import FrozenClock
from apps.core.context import Context, service_context
from apps.core.errors import NotFound
from apps.core.models import OutboxMessage
from apps.streaming.topics import TOPICS
from apps.trading import selectors_risk, services
from apps.trading.models import RiskBasis, RiskReport
from apps.trading.services import risk as risk_service
from apps.trading.services.risk import record_report
from tests.factories import journal
from tests.support.risk import MINUTE_NS, NOW, FakeMarket, inputs
from workers.engine.risk.report import Inputs, Settings, assess, build_model, snapshot_of
from workers.live import risk_market, risk_report

pytestmark = pytest.mark.django_db
PROCESS = service_context("risk")
SETTINGS = Settings()


@pytest.fixture(autouse=True)
def traded() -> None:
    day = [*journal.trading_day(11, 40), journal.marked(journal.START)]
    services.project(service_context("projector"), worker="w", records=journal.records(day))


def keep(made: Inputs) -> RiskReport:
    report = assess(made, SETTINGS)
    snapshot = snapshot_of(build_model(made, SETTINGS), made, SETTINGS) if report["status"] == "ok" else None
    return record_report(
        PROCESS, inputs=made, settings=SETTINGS, report=report, equity=Decimal(100_000), snapshot=snapshot
    )


def later(made: Inputs, minutes: float, btc: str) -> Inputs:
    """The same book ``minutes`` later at another price of BTC."""
    first, *rest = made.holdings
    moved = (msgspec.structs.replace(first, mark=Decimal(btc)), *rest)
    return msgspec.structs.replace(made, at=made.at + int(minutes * MINUTE_NS), holdings=moved)


def test_a_report_is_kept_once_and_told_once() -> None:
    first = keep(inputs())
    assert keep(inputs()).pk == first.pk
    told = OutboxMessage.objects.filter(topic="risk_report")
    assert [(message.key, message.data["var"]) for message in told] == [("paper", first.body["var"])]
    assert first.var is not None
    assert first.var > 0
    assert (first.gross, first.net) == (Decimal(65_000), Decimal(35_000))
    rows = dict(TOPICS["risk_report"].snapshot())
    assert rows["paper"] == told[0].data


def test_each_report_says_how_the_one_before_turned_out() -> None:
    first = keep(inputs())
    calm = keep(later(inputs(), 1, "50010"))
    assert (first.pnl, first.breach) == (None, None)
    assert (calm.pnl, calm.breach) == (Decimal(10), False)
    assert calm.step_var is not None
    crash = keep(later(inputs(), 2, "47000"))
    assert (crash.pnl, crash.breach) == (Decimal(-3010), True)
    tested = crash.body["backtest"]
    assert (tested["count"], tested["failures"], tested["zone"]) == (
        2,
        1,
        "red" if tested["probability"] >= 0.9999 else "yellow",
    )
    assert [one["pnl"] for one in tested["exceedances"]] == ["-3010"]
    after_a_gap = keep(later(inputs(), 30, "10000"))
    assert (after_a_gap.pnl, after_a_gap.breach) == (None, None)


def test_what_the_gate_needs_is_the_report_s_own_number() -> None:
    made = keep(inputs())
    snapshot = selectors_risk.var_snapshot("paper")
    assert snapshot is not None
    found = snapshot.value_at_risk({"BTCUSDT": 50_000.0, "ETHUSDT": -15_000.0})
    assert found == pytest.approx(float(made.body["var"]), rel=1e-6)
    assert selectors_risk.var_snapshot("elsewhere") is None


def test_too_little_history_is_said_and_keeps_no_snapshot() -> None:
    made = keep(inputs(count=30))
    assert (made.status, made.var) == ("no data", None)
    assert made.body["detail"] == "29 periods of history are at hand, 60 are needed (BTCUSDT)"
    assert selectors_risk.var_snapshot("paper") is None


def test_a_value_at_risk_above_its_limit_is_an_incident_until_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(risk_service, "var_limit", lambda: Decimal(10))
    book = inputs()
    keep(book)
    keep(later(book, 1, "50000"))
    first, second = book.holdings
    flat = (msgspec.structs.replace(first, quantity=Decimal(0)), msgspec.structs.replace(second, quantity=Decimal(0)))
    keep(msgspec.structs.replace(later(book, 2, "50000"), holdings=flat))
    keep(msgspec.structs.replace(later(book, 3, "50000"), holdings=flat))
    told = OutboxMessage.objects.filter(topic="signals", key="limit_breach:paper:VAR_REPORTED").order_by("id")
    assert [message.kind for message in told] == ["incident.requested", "incident.requested", "incident.cleared"]
    assert "the limit is 10.00" in told[0].data["detail"]


def test_old_reports_keep_their_figures_and_lose_their_body() -> None:
    first = keep(inputs())
    keep(later(inputs(), 25 * 60, "50000"))
    first.refresh_from_db()
    assert first.body == {}
    assert first.var is not None
    keep(later(inputs(), 31 * 24 * 60, "50000"))
    assert not RiskReport.objects.filter(pk=first.pk).exists()


def test_history_is_thinned_but_keeps_every_breach() -> None:
    book = inputs()
    for minute in range(12):
        keep(later(book, minute, "47000" if minute == 7 else "50000"))
    end = datetime.fromtimestamp(NOW / 1e9 + 3600, UTC)
    series = selectors_risk.history("paper", start=None, end=end, points=3)
    assert series["total"] == 12
    assert len(series["at"]) <= 5
    assert series["breach"].count(True) == 1
    assert RiskBasis.objects.count() == 1


def at(ns: int) -> Context:
    return replace(PROCESS, clock=FrozenClock(datetime.fromtimestamp(ns / 1e9, UTC)))


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> FakeMarket:
    fake = FakeMarket({"1m": 200, "1s": 900})
    made: Any = risk_market.RiskMarket
    monkeypatch.setattr(risk_report, "RiskMarket", lambda url, **elsewhere: made(url, fake.client(), **elsewhere))
    risk_report._ARCHIVE.clear()
    return fake


def test_a_report_is_made_of_records_and_the_coarsest_bars_there_are(market: FakeMarket) -> None:
    made = risk_report.report_venue(at(NOW), "paper")
    assert made is not None
    assert (made.status, made.body["interval_s"], made.body["periods"]) == ("ok", 60.0, 198)
    held = {row["symbol"] for row in made.body["components"]}
    assert held
    stress = {row["name"]: row for row in made.body["stress"]}
    assert stress["March 2020, pandemic"]["outcome"] == "no data"
    assert stress["Close all now"]["outcome"] in ("done", "partial")
    for row in made.body["stress"]:
        if row["total"] is not None:
            parts = sum(Decimal(gain) for gain in row["positions"].values())
            assert abs(parts - Decimal(row["total"])) < Decimal("0.000001")
    assert Decimal(made.body["exposure"]["gross"]) == made.gross


def test_a_silent_venue_makes_a_report_that_says_so(market: FakeMarket) -> None:
    market.missing = {"klines", "depth"}
    made = risk_report.report_venue(at(NOW), "paper")
    assert made is not None
    assert made.status == "no data"
    assert made.var is None
    assert {row["outcome"] for row in made.body["stress"] if row["kind"] == "liquidity"} == {"no data"}
    assert risk_report.report_venue(at(NOW), "nowhere") is None


def test_before_the_first_report_there_is_nothing_to_ask() -> None:
    with pytest.raises(NotFound, match="no risk report of 'paper' yet"):
        selectors_risk.basis("paper")
