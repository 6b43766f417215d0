"""Risk over HTTP and on the command line: the report, its history, and questions about orders that nobody sends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from apps.core.context import service_context
from apps.core.models import OutboxMessage
from apps.trading import services
from apps.trading.api import risk_serializers as wire
from apps.trading.models import Order, Position, RiskReport
from apps.trading.services import risk_gate, risk_what_if
from apps.trading.services.risk import record_report
from controlplane.commands import risk as command
from tests.factories import journal
from tests.factories.people import Browser, make_person, signed_in
from tests.support.risk import inputs
from workers.engine.risk.report import Settings, assess

pytestmark = pytest.mark.django_db
QUESTION = {"orders": [{"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.5"}]}


@pytest.fixture(autouse=True)
def traded() -> None:
    day = [*journal.trading_day(11, 40), journal.marked(journal.START)]
    services.project(service_context("projector"), worker="w", records=journal.records(day))


@pytest.fixture
def reported() -> RiskReport:
    made = inputs()
    return record_report(
        service_context("risk"),
        inputs=made,
        settings=Settings(paths=200),
        report=assess(made, Settings(paths=200)),
        equity=Decimal(100_000),
        snapshot=None,
    )


@pytest.fixture
def viewer() -> Browser:
    return signed_in(make_person("vic"))


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A loop that denies what it is asked, and what it was asked."""
    asked: list[dict[str, Any]] = []

    def verdicts(orders: Sequence[dict[str, Any]]) -> dict[str, Any]:
        asked.extend(orders)
        one = {"passes": False, "reasons": ["NOTIONAL_ABOVE_LIMIT"], "detail": "", "inputs": {"notional": "1"}}
        return {"available": True, "detail": "", "verdicts": [one for _ in orders]}

    monkeypatch.setattr(risk_what_if, "gate_verdicts", verdicts)
    return asked


def test_nobody_reads_without_signing_in() -> None:
    for path in ("report", "history"):
        assert Browser().get(f"/api/v1/risk/{path}/").status_code == 401
    assert Browser().send("/api/v1/risk/what-if/", QUESTION).status_code in (401, 403)


def test_before_the_first_report_that_is_said(viewer: Browser) -> None:
    answer = viewer.get("/api/v1/risk/report/")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert viewer.get("/api/v1/risk/history/").json()["total"] == 0


def test_the_report_is_what_the_live_topic_told(viewer: Browser, reported: RiskReport) -> None:
    answer = viewer.get("/api/v1/risk/report/")
    told = OutboxMessage.objects.get(topic="risk_report")
    assert answer.json() == told.data
    assert answer.headers["ETag"] == f'"{told.data["version"]}"'
    described = set(wire.RiskReportSerializer().fields)
    assert set(answer.json()) == described


def test_the_history_has_columns_of_one_length(viewer: Browser, reported: RiskReport) -> None:
    end = "2026-01-06T00:00:00Z"
    series = viewer.get(f"/api/v1/risk/history/?end={end}").json()
    assert {len(column) for column in series.values() if isinstance(column, list)} == {1}
    assert Decimal(series["var"][0]) == reported.var
    assert set(series) == set(wire.RiskHistorySerializer().fields)
    assert viewer.get("/api/v1/risk/history/?points=1").status_code == 400


def test_a_question_is_answered_and_changes_nothing(
    viewer: Browser, reported: RiskReport, gate: list[dict[str, Any]]
) -> None:
    before = (Order.objects.count(), list(Position.objects.values()), OutboxMessage.objects.count())
    answer = viewer.send("/api/v1/risk/what-if/", QUESTION)
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert set(found) == set(wire.WhatIfAnswer().fields)
    assert gate == [
        {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.500000000000000000", "price": None, "order_type": "MARKET"}
    ]
    assert found["gate"]["verdicts"][0]["reasons"][0]["text"]
    change = Decimal(found["after"]["var"]) - Decimal(found["before"]["var"])
    assert abs(Decimal(found["incremental_var"]) - change) < Decimal("0.0001")
    assert len(found["stress"]) == len(reported.body["stress"])
    assert (Order.objects.count(), list(Position.objects.values()), OutboxMessage.objects.count()) == before


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"symbol": "XRPUSDT", "side": "BUY", "quantity": "1"}, "orders[0].symbol"),
        ({"symbol": "BTCUSDT", "side": "BUY", "quantity": "0"}, "quantity"),
        ({"symbol": "BTCUSDT", "side": "HOLD", "quantity": "1"}, "side"),
        ({"symbol": "BTCUSDT", "side": "BUY", "quantity": "nan"}, "quantity"),
    ],
)
def test_a_question_that_makes_no_sense_names_the_field(
    viewer: Browser, reported: RiskReport, gate: list[dict[str, Any]], order: dict[str, str], field: str
) -> None:
    answer = viewer.send("/api/v1/risk/what-if/", {"orders": [order]})
    assert answer.status_code == 400
    assert field in answer.content.decode()
    assert gate == []


def test_a_silent_loop_is_told_and_nothing_is_assumed(
    viewer: Browser, reported: RiskReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(risk_gate, "WAIT_S", 0.2)
    found = viewer.send("/api/v1/risk/what-if/", QUESTION).json()
    assert found["gate"]["available"] is False
    assert "did not answer within 0.2 s" in found["gate"]["detail"]
    assert found["gate"]["verdicts"] == []
    assert found["incremental_var"] is not None


def test_the_command_line_reads_the_same(reported: RiskReport, gate: list[dict[str, Any]]) -> None:
    run = CliRunner()
    whole = run.invoke(command.risk, ["report", "--json"])
    assert json.loads(whole.output)["var"] == reported.body["var"]
    words = run.invoke(command.risk, ["report"]).output
    assert "Correlations of one" in words
    asked = run.invoke(command.risk, ["what-if", "btcusdt:buy:0.5@51000"])
    assert "would be denied: NOTIONAL_ABOVE_LIMIT" in asked.output
    assert gate[0]["price"] == "51000"
    for bad in ("BTCUSDT", "BTCUSDT:hold:1", "BTCUSDT:buy:0"):
        refused = run.invoke(command.risk, ["what-if", bad])
        assert refused.exit_code == 2
    unknown = run.invoke(command.risk, ["what-if", "XRPUSDT:buy:1"])
    assert unknown.exit_code == 1
    assert "expected an instrument with a price" in unknown.output


def test_inputs_survive_being_kept(reported: RiskReport) -> None:
    made = inputs()
    kept = msgspec.convert(json.loads(json.dumps(msgspec.to_builtins(made))), type(made), strict=False)
    assert kept == made
