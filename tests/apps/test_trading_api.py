"""Trading over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.domain.roles import Role
from apps.core.context import service_context
from apps.core.models import OutboxMessage
from apps.trading import models, rows, selectors, selectors_pnl, services
from apps.trading.api import serializers
from apps.trading.domain.positions import unrealised
from apps.trading.services import books
from tests.factories import journal
from tests.factories.people import Browser, Person, make_person, signed_in
from workers.engine import events as ev
from workers.engine.vocabulary import Reason

pytestmark = pytest.mark.django_db
PROCESS = service_context("projector")


@pytest.fixture(autouse=True)
def traded() -> None:
    day = [*journal.trading_day(11, 40), journal.marked(journal.START)]
    services.project(PROCESS, worker="w", records=journal.records(day))


@pytest.fixture
def viewer() -> Browser:
    return signed_in(make_person("vic"))


@pytest.fixture
def ann() -> Person:
    return make_person("ann", Role.OPERATOR)


def stepped(browser: Browser, who: Person, action: str, object_id: str = "paper") -> str:
    answer = browser.send("/api/v1/auth/step-up/", {"code": who.fresh_code(), "action": action, "object_id": object_id})
    assert answer.status_code in (200, 201), answer.content
    return str(answer.json()["grant"])


def test_nobody_reads_without_signing_in() -> None:
    for path in ("account", "pnl", "positions", "orders", "fills", "instruments", "halts", "control"):
        answer = Browser().get(f"/api/v1/trading/{path}/")
        assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")


def test_orders_are_listed_filtered_and_paged(viewer: Browser) -> None:
    first = viewer.get("/api/v1/trading/orders/?limit=10").json()
    assert len(first["results"]) == 10
    second = viewer.get(first["next"]).json()
    ids = [order["client_id"] for order in (*first["results"], *second["results"])]
    assert len(set(ids)) == 20
    denied = viewer.get("/api/v1/trading/orders/?status=DENIED&limit=500").json()["results"]
    assert denied
    assert all(order["status"] == "DENIED" and order["reasons"][0]["text"] for order in denied)
    working = viewer.get("/api/v1/trading/orders/?open=true&limit=500").json()["results"]
    assert all(order["open"] for order in working)
    assert viewer.get("/api/v1/trading/orders/?venue=other").json()["results"] == []
    assert viewer.get("/api/v1/trading/orders/?status=SLEEPING").status_code == 400


def test_one_order_is_what_the_outbox_said(viewer: Browser) -> None:
    message = OutboxMessage.objects.filter(topic="orders").latest("id")
    answer = viewer.get(f"/api/v1/trading/orders/{message.key}/")
    assert answer.json() == message.data
    assert answer.headers["ETag"] == f'"{message.data["version"]}"'
    missing = viewer.get("/api/v1/trading/orders/nothing/")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


def test_a_trace_tells_the_verdict_the_signal_the_costs_and_the_times(viewer: Browser) -> None:
    inputs = {"notional": 500 * 10**16, "gross_after": 1_500 * 10**16, "position": 10**8, "reference_age_ns": 2_500_000}
    judged = journal.intended(
        "t-1", journal.START, decision={"why": "forecast", "mu": 0.25, "risk": {**inputs, "limits_version": 1}},
        stages={"risk": 40_000, "journal": 900_000},
    )  # fmt: skip
    refused = journal.denied("t-2", journal.START, Reason.NOTIONAL_ABOVE_LIMIT)
    events: list[ev.Journalled] = [
        judged,
        ev.OrderSent(ts=journal.START + 1_000_000, client_id="t-1", stages={"send": 60_000, "total": 1_000_000}),
        ev.OrderAccepted(ts=journal.START + 6_000_000, client_id="t-1", venue_order_id="9"),
        journal.filled("t-1", 900_001, journal.START + 7_000_000, fee=1000),
        msgspec.structs.replace(refused, inputs={**inputs, "reference": 5_000_000}),
    ]
    cursor = models.JournalCursor.objects.get()
    services.project(PROCESS, worker="w", records=journal.records(events, after=(cursor.seq, cursor.hash)))
    sent = viewer.get("/api/v1/trading/orders/t-1/trace/").json()
    assert sent["passed"]
    assert {"name": "mu", "label": "Expected return", "value": 0.25} in sent["signal"]
    numbers = {number["name"]: number["value"] for number in sent["numbers"]}
    assert numbers == {"notional": "500", "gross_after": "1500", "position": "1", "reference_age": "2.5"}
    assert sent["fees"] == [{"asset": "BTC", "amount": "0.00001"}]
    assert [stage["stage"] for stage in sent["latency"]["stages"]] == ["risk", "journal", "send"]
    assert (sent["latency"]["total_ns"], sent["latency"]["venue_ns"]) == (1_000_000, 5_000_000)
    denied = viewer.get("/api/v1/trading/orders/t-2/trace/").json()
    assert (denied["passed"], denied["signal"], denied["fills"], denied["latency"]["total_ns"]) == (False, [], [], None)
    assert {number["name"] for number in denied["numbers"]} == set(numbers)
    assert viewer.get("/api/v1/trading/orders/t-2/").json()["reference_price"] == "50000"
    assert viewer.get("/api/v1/trading/orders/nothing/trace/").status_code == 404


def test_a_page_of_orders_takes_few_queries(viewer: Browser) -> None:
    viewer.get("/api/v1/trading/orders/")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        viewer.get("/api/v1/trading/orders/?limit=40")
    assert len(queries) <= 8, [q["sql"] for q in queries]


@pytest.mark.parametrize("path", ["fills", "positions", "instruments", "reconciliations", "halts", "resume-requests"])
def test_lists_answer(viewer: Browser, path: str) -> None:
    answer = viewer.get(f"/api/v1/trading/{path}/")
    assert answer.status_code == 200
    assert set(answer.json()) == {"results", "next", "previous"}


def test_account_and_series(viewer: Browser) -> None:
    account = viewer.get("/api/v1/trading/account/").json()
    assert (account["venue"], account["control"]["state"]) == ("paper", "ACTIVE")
    assert isinstance(account["equity"], str)
    series = viewer.get("/api/v1/trading/pnl/?start=2026-01-01T00:00:00Z&end=2026-02-01T00:00:00Z").json()
    assert series["total"] == len(series["equity"]) > 0
    assert viewer.get("/api/v1/trading/pnl/?points=2").status_code == 400
    assert viewer.get("/api/v1/trading/account/?venue=none").status_code == 404


@pytest.mark.parametrize("scope", ["strategy", "instrument"])
def test_a_line_by_scope_ends_where_the_books_stand(scope: selectors_pnl.Scope) -> None:
    lines = selectors_pnl.scope_lines("paper", scope, start=PROCESS.now() - timedelta(days=4000), end=PROCESS.now())
    last = {fill.symbol: fill.price for fill in reversed(selectors.fills("paper"))}
    booked = sum(
        (held.realised - held.fees + (unrealised(quantity=held.quantity, cost=held.cost, mark=last[held.symbol]) or 0)
         for held in models.Position.objects.filter(symbol__in=last)),
        Decimal(0),
    )  # fmt: skip
    assert lines
    assert sum(len(at) for at, _ in lines.values()) == models.Fill.objects.count()
    assert abs(sum(net[-1] for _, net in lines.values()) - booked) < Decimal("0.01")


def test_sums_by_day_are_what_the_fills_before_a_moment_add_up_to() -> None:
    venue, start = models.Venue.objects.get(name="paper"), datetime(2026, 3, 1, tzinfo=UTC)
    fills = [
        models.Fill(
            venue=venue, symbol="BTCUSDT", trade_id=900_000 + n, client_id="c", run_id=f"day-{n % 2}",
            side="BUY" if n % 3 else "SELL", quantity=Decimal(n + 1), price=Decimal(2), notional=Decimal(2 * n + 2),
            fee=Decimal("0.25"), fee_asset="USDT" if n % 2 else "BTC", executed_at=start + timedelta(hours=n),
            recorded_at=start, seq=n,
        )
        for n in range(60)
    ]  # fmt: skip
    books.save_fills(venue, fills[:31])
    books.save_fills(venue, fills[31:])
    for hours in (0, 1, 24, 30, 48, 100):
        until = start + timedelta(hours=hours)
        held = {f"day-{n}": [Decimal(0), Decimal(0)] for n in (0, 1)}
        for fill in (each for each in fills if each.executed_at < until):
            sign = 1 if fill.side == "BUY" else -1
            in_base = fill.fee if fill.fee_asset == "BTC" else 0
            held[fill.run_id][0] += sign * fill.quantity - in_base
            held[fill.run_id][1] -= sign * fill.notional + fill.fee - in_base
        found = {name: [Decimal(0), Decimal(0)] for name in held}
        for flow in selectors_pnl.flows(venue, until=until):
            if flow.run_id in found:
                found[flow.run_id][0] += flow.quantity
                found[flow.run_id][1] += flow.cash
        assert found == held, hours
    assert selectors_pnl._prices(venue, start + timedelta(hours=5))["BTCUSDT"] == 2


def test_halt_and_resume_take_fresh_codes(ann: Person) -> None:
    browser = signed_in(ann)
    refused = browser.send("/api/v1/trading/halts/", {"reason": "odd"})
    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required")
    body = {"reason": "odd", "grant": stepped(browser, ann, "trading.halt")}
    halted = browser.send("/api/v1/trading/halts/", body, key="halt-0001")
    assert (halted.status_code, halted.json()["state"]) == (200, "HALTED"), halted.content
    repeated = browser.send("/api/v1/trading/halts/", body, key="halt-0001")
    assert repeated.json() == halted.json()
    assert repeated.headers["Idempotency-Replayed"] == "true"
    other = browser.send("/api/v1/trading/halts/", {**body, "reason": "else"}, key="halt-0001")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
    listed = browser.get("/api/v1/trading/halts/?open=true").json()["results"]
    assert [halt["reason"] for halt in listed] == ["odd"]
    resumed = browser.send(
        "/api/v1/trading/resume/", {"reason": "ok", "grant": stepped(browser, ann, "trading.resume")}
    )
    assert (resumed.status_code, resumed.json()["resumed"]) == (200, True)


def test_halting_does_not_lean_on_the_cache(ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = signed_in(ann)

    def down(*_: Any) -> int:
        raise redis.TimeoutError("the cache is down")

    monkeypatch.setattr("apps.core.api.throttles._away_until", 0.0)
    monkeypatch.setattr("apps.core.api.throttles._counted", down)
    body = {"reason": "odd", "grant": stepped(browser, ann, "trading.halt")}
    assert browser.send("/api/v1/trading/halts/", body).status_code == 200


def test_live_resume_waits_for_another_person(ann: Person) -> None:
    services.ensure_venue(PROCESS, name="real", mode="live")
    browser, bob = signed_in(ann), make_person("bob", Role.RISK_OFFICER)
    grant = stepped(browser, ann, "trading.resume", "real")
    asked = browser.send("/api/v1/trading/resume/", {"venue": "real", "reason": "ok", "grant": grant})
    assert (asked.status_code, asked.json()["resumed"]) == (202, False)
    path = f"/api/v1/trading/resume-requests/{asked.json()['request']['id']}/approve/"
    other = signed_in(bob)
    approved = other.send(path, {"grant": stepped(other, bob, "trading.resume", "real")})
    assert (approved.status_code, approved.json()["state"]) == (200, "ACTIVE"), approved.content


def test_changing_posts_need_a_key_a_role_and_a_reason(ann: Person, viewer: Browser) -> None:
    browser = signed_in(ann)
    headers = {"X-CSRFToken": browser.csrf()}
    bare = browser.post(
        "/api/v1/trading/cancel-all/", {"reason": "x"}, content_type="application/json", headers=headers
    )
    assert (bare.status_code, bare.json()["fields"]["field"]) == (400, "Idempotency-Key")
    assert browser.send("/api/v1/trading/cancel-all/", {}).json()["fields"] == {"reason": ["This field is required."]}
    done = browser.send("/api/v1/trading/cancel-all/", {"reason": "clean up"})
    assert (done.status_code, done.json()["cancel_version"]) == (202, 1)
    refused = viewer.send("/api/v1/trading/cancel-all/", {"reason": "x"})
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_refused")


def test_serializers_describe_exactly_the_rows() -> None:
    halt = services.halt(PROCESS, venue="paper", reason="x", grant=None)
    pairs: list[tuple[Any, dict[str, Any]]] = [
        (serializers.OrderSerializer, rows.order_row(selectors.orders()[0])),
        (serializers.FillSerializer, rows.fill_row(selectors.fills()[0])),
        (serializers.PositionSerializer, rows.position_row(selectors.positions()[0])),
        (serializers.InstrumentSerializer, rows.instrument_row(selectors.instruments()[0])),
        (serializers.ControlSerializer, rows.control_row(halt)),
        (serializers.HaltSerializer, rows.halt_row(selectors.halts()[0])),
        (serializers.ResumeRequestSerializer, rows.resume_row(models.ResumeRequest(requested_at=PROCESS.now()))),
        (serializers.ReconciliationSerializer, rows.reconciliation_row(selectors.reconciliations("paper")[0])),
        (serializers.AccountSerializer, selectors.account("paper")),
        (serializers.PnlSerializer, selectors.pnl_series("paper", end=PROCESS.now())),
    ]
    for kind, row in pairs:
        assert set(kind().fields) == set(row), kind
