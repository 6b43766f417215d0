"""Rebalance runs from the request to the proposed trades, over HTTP, the task and the command line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from django.db import IntegrityError, transaction

from apps.audit.models import AuditEntry
from apps.core.clock import FrozenClock
from apps.core.context import service_context
from apps.core.errors import Invalid
from apps.core.models import OutboxMessage
from apps.incidents.models import Incident
from apps.incidents.services.consumer import handle_message
from apps.trading import models, services
from apps.trading.services import rebalances
from tests.factories import journal
from tests.factories.people import Browser, make_person, signed_in
from workers.live import rebalancing
from workers.live.risk_market import RiskMarket
from workers.tasks.portfolio import rebalance

pytestmark = pytest.mark.django_db
PROCESS = service_context("projector")
BARS = 120
POLICY: dict[str, Any] = {
    "method": "minimum_variance",
    "interval": "1m",
    "bars": 100,
    "constraints": {"upper": 0.7, "net": [0.9, 0.9]},
}


def klines(symbol: str) -> list[list[Any]]:
    rng = np.random.default_rng(1 if symbol == "BTCUSDT" else 2)
    closes = (50_000 if symbol == "BTCUSDT" else 3_000) * np.exp(np.cumsum(rng.normal(0, 1e-3, BARS)))
    return [[60_000 * i, "", "", "", f"{close:.2f}"] for i, close in enumerate(closes)]


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The venue's klines; what the test puts into the answer under "status" is the HTTP status."""
    answer = {"status": 200}

    def reply(request: httpx.Request) -> httpx.Response:
        return httpx.Response(answer["status"], json=klines(request.url.params["symbol"]))

    def market(url: str, **elsewhere: Any) -> RiskMarket:
        return RiskMarket(url, httpx.Client(transport=httpx.MockTransport(reply)), **elsewhere)

    monkeypatch.setattr(rebalancing, "RiskMarket", market)
    return answer


@pytest.fixture(autouse=True)
def book() -> None:
    """One bitcoin at 50,000 and 50,000 in cash."""
    day = [
        *journal.opening(),
        journal.intended("c-1", journal.START, lots=100_000),
        journal.filled("c-1", 1, journal.START, lots=100_000, fee=0),
        journal.marked(journal.START, marks={"BTCUSDT": 5_000_000, "ETHUSDT": 300_000}),
    ]
    services.project(PROCESS, worker="w", records=journal.records(day))


@pytest.fixture
def ann() -> Browser:
    return signed_in(make_person("ann", "operator"))


def ask(browser: Browser, policy: dict[str, Any], key: str = "") -> Any:
    return browser.send("/api/v1/rebalances/", {"policy": policy, "reason": "monthly"}, key=key)


def test_a_person_asks_and_gets_trades_that_leave_cash(ann: Browser, venue: dict[str, int]) -> None:
    asked = ask(ann, POLICY, key="monthly-0001")
    assert (asked.status_code, asked.json()["state"]) == (202, "pending")
    assert ask(ann, POLICY, key="monthly-0001").json()["id"] == asked.json()["id"]
    path = f"/api/v1/rebalances/{asked.json()['id']}/"
    assert rebalance(asked.json()["id"]) == "done"
    assert rebalance(asked.json()["id"]) == "taken"
    run = ann.get(path).json()
    outcome = run["outcome"]
    assert (run["state"], outcome["status"], run["requested_by"]) == ("done", "optimal", "ann")
    assert sum(outcome["weights"].values()) == pytest.approx(0.9, abs=1e-6)
    assert {trade["symbol"]: trade["side"] for trade in outcome["trades"]}["ETHUSDT"] == "BUY"
    spent = sum((1 if t["side"] == "BUY" else -1) * Decimal(t["notional"]) for t in outcome["trades"])
    assert Decimal(outcome["cash"]) == 50_000 - spent - Decimal(run["cost"])
    assert Decimal(outcome["cash"]) >= 0
    for target in outcome["targets"].values():
        assert target["weight"] == pytest.approx(target["wanted"], abs=1e-4)
    assert outcome["rounding"]["optimal"] is True
    assert run["inputs"]["bars"] == 100
    assert [row["id"] for row in ann.get("/api/v1/rebalances/?state=done").json()["results"]] == [run["id"]]
    told = AuditEntry.objects.filter(object_id=run["id"]).order_by("seq").values_list("event", "actor_name", "reason")
    assert [(event, name) for event, name, _ in told] == [
        ("trading.rebalance.requested", "ann"),
        ("trading.rebalance.finished", "portfolio"),
    ]
    assert told[0][2] == "monthly"


def test_the_same_inputs_give_the_same_digest_and_answer(ann: Browser, venue: dict[str, int]) -> None:
    runs = []
    for _ in range(2):
        runs.append(ask(ann, POLICY).json()["id"])
        rebalance(runs[-1])
    first, second = (models.RebalanceRun.objects.get(pk=run) for run in runs)
    assert first.inputs_digest == second.inputs_digest
    assert first.outcome["weights"] == second.outcome["weights"]


def test_a_conflict_keeps_the_old_book_says_why_and_asks_for_an_incident(ann: Browser, venue: dict[str, int]) -> None:
    run = ask(ann, {**POLICY, "constraints": {"upper": 0.3, "net": [0.9, 0.9]}}).json()["id"]
    assert rebalance(run) == "refused"
    told = ann.get(f"/api/v1/rebalances/{run}/").json()
    assert told["outcome"]["conflict"]["sets"] == ["upper", "net"]
    assert "cannot hold together" in told["why"]
    assert told["outcome"]["trades"] == []
    assert told["outcome"]["weights"] == told["outcome"]["current"]
    [signal] = OutboxMessage.objects.filter(topic="signals", key__startswith="rebalance_refused")
    assert handle_message(service_context("incidents"), signal)
    incident = Incident.objects.get(fingerprint=signal.key)
    assert (incident.kind, incident.severity, incident.state) == ("rebalance_refused", "warning", "triggered")
    better = ask(ann, POLICY).json()["id"]
    rebalance(better)
    kinds = OutboxMessage.objects.filter(topic="signals", key=signal.key).order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["incident.requested", "incident.cleared"]


def test_a_venue_that_does_not_answer_fails_the_run_in_words(ann: Browser, venue: dict[str, int]) -> None:
    venue["status"] = 503
    run = ask(ann, POLICY).json()["id"]
    assert rebalance(run) == "failed"
    assert "is the venue up?" in ann.get(f"/api/v1/rebalances/{run}/").json()["why"]


def test_a_run_that_breaks_fails_with_what_it_raised(ann: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("solver")

    monkeypatch.setattr(rebalancing, "history_of", broken)
    run = ask(ann, POLICY).json()["id"]
    assert rebalance(run) == "failed"
    assert ann.get(f"/api/v1/rebalances/{run}/").json()["why"] == "ZeroDivisionError: solver"
    told = OutboxMessage.objects.filter(topic="rebalances", key=run).order_by("id").values_list("data", flat=True)
    assert [row["state"] for row in told] == ["pending", "running", "failed"]


@pytest.mark.parametrize(
    ("policy", "word"),
    [
        ({"method": "astrology"}, "astrology"),
        ({"method": "target_risk"}, "needs a target"),
        ({"symbols": ["XRPUSDT"]}, "does not list XRPUSDT"),
        ({"bars": 3}, "bars"),
        ({"views": [{"weights": {"BTCUSDT": 1.0}, "expected": 0.1}] * 101}, "at most 100 entries of views"),
        ({"constraints": {"groups": [{"name": "g", "members": []}] * 101}}, "entries of constraints.groups"),
        ({"mean": {f"S{i}": 0.1 for i in range(101)}}, "entries of mean"),
        ({"constraints": {"upper": "much"}}, "upper"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_at_once(ann: Browser, policy: dict[str, Any], word: str) -> None:
    answer = ask(ann, policy)
    assert answer.status_code == 400
    assert word in answer.json()["detail"]
    assert not models.RebalanceRun.objects.exists()


def test_a_viewer_reads_and_may_not_ask() -> None:
    viewer = signed_in(make_person("vic"))
    assert ask(viewer, POLICY).status_code == 403
    assert viewer.get("/api/v1/rebalances/").status_code == 200
    assert Browser().get("/api/v1/rebalances/").status_code == 401


def test_what_nobody_took_is_sent_again_and_what_never_ended_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(rebalances, "send_after_commit", lambda task, **order: sent.append(order["run_id"]))
    clock = FrozenClock()
    ctx = service_context("portfolio", clock=clock)
    run = rebalances.request_rebalance(ctx, venue="paper", policy=POLICY)
    clock.advance(seconds=16)
    assert rebalances.look_after_rebalances(ctx) == 1
    # Not at every look, but when the message that was sent last had its time.
    assert rebalances.look_after_rebalances(ctx) == 0
    assert sent == [str(run.pk)] * 2
    assert rebalances.begin_rebalance(ctx, run_id=run.pk) is not None
    clock.advance(seconds=200)
    assert rebalances.look_after_rebalances(ctx) == 1
    run.refresh_from_db()
    assert run.state == "failed"


def test_one_rebalance_of_a_venue_is_open_at_a_time(ann: Browser, venue: dict[str, int]) -> None:
    first = ask(ann, POLICY).json()["id"]
    second = ask(ann, POLICY)
    assert (second.status_code, second.json()["code"], second.json()["fields"]["run"]) == (409, "conflict", first)
    row = models.RebalanceRun.objects.get(pk=first)
    row.pk = None
    with pytest.raises(IntegrityError, match="rebalance_open_once"), transaction.atomic():
        models.RebalanceRun.objects.create(**{f.attname: getattr(row, f.attname) for f in row._meta.fields[1:]})
    rebalance(first)
    assert ask(ann, POLICY).status_code == 202


def test_nothing_changes_without_its_audit_row() -> None:
    with pytest.raises(Invalid), transaction.atomic():
        rebalances.request_rebalance(service_context("portfolio"), venue="paper", policy={"schema": 2})
    assert not models.RebalanceRun.objects.exists()


def test_the_command_prints_weights_trades_and_the_proof(
    venue: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from controlplane.commands import portfolio as command

    ask_for = rebalances.request_rebalance

    def compute_at_once(ctx: Any, **order: Any) -> models.RebalanceRun:
        run = ask_for(ctx, **order)
        rebalance(str(run.pk))
        run.refresh_from_db()
        return run

    monkeypatch.setattr(rebalances, "request_rebalance", compute_at_once)
    answer = CliRunner().invoke(command.portfolio, ["optimise", "--bars", "100", "--upper", "0.7"])
    assert answer.exit_code == 0, answer.output
    assert "minimum_variance on paper: optimal" in answer.output
    assert "BTCUSDT" in answer.output
    refused = CliRunner().invoke(command.portfolio, ["optimise", "--bars", "100", "--upper", "0.2"])
    assert "the old book is kept" in refused.output


def test_it_is_computed_where_nothing_else_waits_for_it() -> None:
    from controlplane.celery import app
    from workers.live import backtest_worker

    assert backtest_worker.portfolio.rebalance is rebalance
    queue = app.amqp.router.route({}, rebalance.name)["queue"]
    assert queue.name == "backtest"
