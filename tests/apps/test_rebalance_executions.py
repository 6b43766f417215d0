"""Approved rebalances: signed for, sent once, sells before the buys that they pay for, followed to their end."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.db.utils import InterfaceError

from apps.accounts.domain.roles import Role
from apps.audit.models import AuditEntry
from apps.core.clock import FrozenClock
from apps.core.context import Context, service_context
from apps.core.errors import Conflict, IllegalTransition, Invalid
from apps.core.models import OutboxMessage
from apps.incidents.models import Incident
from apps.incidents.services.consumer import handle_message
from apps.trading import models, services
from apps.trading.selectors_executions import proposal_of
from apps.trading.services import executions, rebalance_schedules, rebalances
from apps.trading.services.scopes import halt_scope
from tests.factories import journal
from tests.factories.people import Browser, Person, make_person, signed_in
from workers.engine.portfolio.policy import parse_policy, policy_data
from workers.tasks.portfolio import look_after

pytestmark = pytest.mark.django_db
PROCESS = service_context("projector")
SELL, BUY = ("SELL", "BTCUSDT", "0.5"), ("BUY", "ETHUSDT", "20")
"""25,000 come in and 60,000 go out, of 49,950 that are there."""


def book() -> None:
    """One bitcoin at 50,000 and about 50,000 in cash."""
    day = [
        *journal.opening(),
        journal.intended("c-1", journal.START, lots=100_000),
        journal.filled("c-1", 1, journal.START, lots=100_000, fee=0),
        journal.marked(journal.START, marks={"BTCUSDT": 5_000_000}),
    ]
    services.project(PROCESS, worker="w", records=journal.records(day))


@pytest.fixture
def ann() -> Person:
    book()
    return make_person("ann", "operator")


def done_run(ctx: Context, *trades: tuple[str, str, str], **policy: Any) -> models.RebalanceRun:
    """A run that ended with ``trades`` (side, symbol, quantity) at 50,000 and 3,000."""
    run = rebalances.request_rebalance(ctx, venue="paper", policy=policy)
    rebalances.begin_rebalance(ctx, run_id=run.pk)
    inputs = {"held": {"BTCUSDT": "1", "ETHUSDT": "0"}, "cash": "50000", "quote": "USDT"}
    return rebalances.finish_rebalance(ctx, run_id=run.pk, inputs=inputs, outcome=outcome(*trades))


def outcome(*trades: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "status": "optimal",
        "why": "",
        "inputs_digest": "i" * 64,
        "equity": "100000",
        "cost": "1",
        "targets": {"BTCUSDT": {"price": "50000"}, "ETHUSDT": {"price": "3000"}},
        "trades": [{"side": side, "symbol": symbol, "quantity": quantity} for side, symbol, quantity in trades],
    }


def approve(browser: Browser, who: Person, run: models.RebalanceRun, digest: str = "", key: str = "") -> Any:
    shown = browser.get(f"/api/v1/rebalances/{run.pk}/proposal/").json()
    asked = {
        "code": who.fresh_code(),
        "action": "trading.rebalance",
        "object_id": f"paper:{digest or shown.get('digest', '')}",
    }
    grant = browser.send("/api/v1/auth/step-up/", asked).json()["grant"]
    return browser.send(f"/api/v1/rebalances/{run.pk}/approve/", {"reason": "monthly", "grant": grant}, key=key)


def end_parent(symbol: str, *, share: str = "1", cash: str = "", detail: str = "") -> None:
    """What the projection writes when a parent ends, and the balance that its fills leave."""
    parent = models.ParentOrder.objects.get(symbol=symbol, status="REQUESTED")
    parent.filled_quantity = parent.quantity * Decimal(share)
    parent.status, parent.detail = ("FILLED" if share == "1" else "EXPIRED"), detail
    parent.save()
    if cash:
        models.Balance.objects.filter(asset="USDT").update(total=Decimal(cash))


def look() -> None:
    executions.look_after_executions(service_context("portfolio"))


def legs(run: models.RebalanceRun) -> list[tuple[str, str, str]]:
    found = models.RebalanceLeg.objects.filter(execution__run=run)
    return [(leg.symbol, leg.state, "" if leg.sent_quantity is None else f"{leg.sent_quantity:f}") for leg in found]


def test_sells_go_first_where_a_buy_needs_their_money(ann: Person) -> None:
    browser, run = signed_in(ann), done_run(service_context("portfolio"), SELL, BUY)
    shown = browser.get(f"/api/v1/rebalances/{run.pk}/proposal/").json()
    assert [(row["side"], row["symbol"], row["limit_price"]) for row in shown["trades"]] == [
        ("SELL", "BTCUSDT", "49500"), ("BUY", "ETHUSDT", "3030"),
    ]  # fmt: skip
    answer = approve(browser, ann, run, key="approve-monthly")
    assert (answer.status_code, answer.json()["execution"]["state"]) == (202, "working"), answer.content
    assert legs(run) == [("BTCUSDT", "working", f"{Decimal('0.5'):.18f}"), ("ETHUSDT", "waiting", "")]
    look()
    assert models.ParentOrder.objects.count() == 1, "the buy waits for the money"
    end_parent("BTCUSDT", cash="74975")
    look()
    parent = models.ParentOrder.objects.get(symbol="ETHUSDT")
    assert (parent.side, parent.algorithm, parent.quantity) == ("BUY", "twap", Decimal(20))
    assert parent.limit_price == 3030
    end_parent("ETHUSDT", cash="14915")
    look()
    row = browser.get(f"/api/v1/rebalances/{run.pk}/").json()["execution"]
    assert (row["state"], row["why"], row["approved_by"]) == ("done", "", "ann")
    assert [leg["filled_quantity"] for leg in row["legs"]] == ["0.5", "20"]
    told = AuditEntry.objects.filter(object_id=str(run.pk)).order_by("seq").values_list("event", flat=True)
    assert list(told)[-2:] == ["trading.rebalance.approved", "trading.rebalance.executed"]
    entry = AuditEntry.objects.get(event="trading.rebalance.approved")
    assert (entry.mfa, entry.reason, entry.actor_name) == ("step_up", "monthly", "ann")


def test_the_same_key_approves_once_and_another_is_refused(ann: Person) -> None:
    browser, run = signed_in(ann), done_run(service_context("portfolio"), SELL)
    first = approve(browser, ann, run, key="one-intention")
    again = approve(browser, ann, run, key="one-intention")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    other = approve(browser, ann, run)
    assert (other.status_code, models.ParentOrder.objects.count()) == (409, 1)


def test_leave_is_for_these_trades_of_this_run(ann: Person) -> None:
    browser, ctx = signed_in(ann), service_context("portfolio")
    first, second = done_run(ctx, SELL), done_run(ctx, ("SELL", "BTCUSDT", "0.9"))
    digest = browser.get(f"/api/v1/rebalances/{first.pk}/proposal/").json()["digest"]
    refused = approve(browser, ann, second, digest)
    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required")
    viewer = signed_in(make_person("vic"))
    assert viewer.send(f"/api/v1/rebalances/{first.pk}/approve/", {"reason": "x"}).status_code == 403
    assert not models.RebalanceExecution.objects.exists()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("age", "older than 900 s"),
        ("price", "BTCUSDT was at 50000 and is at 50600"),
        ("book", "2.00% of the book has changed"),
        ("halt", "halted"),
        ("firm", r"firm is halted \(odd prints\)"),
    ],
)
def test_a_proposal_expires(ann: Person, change: str, word: str) -> None:
    clock = FrozenClock()
    ctx = service_context("portfolio", clock=clock)
    run = done_run(ctx, SELL)
    assert proposal_of(run, clock.now()).problem == ""
    if change == "age":
        clock.advance(seconds=900)
    elif change == "price":
        models.Position.objects.filter(symbol="BTCUSDT").update(mark=Decimal(50_600))
    elif change == "book":
        models.Balance.objects.filter(asset="USDT").update(total=Decimal(52_000))
        models.Position.objects.filter(symbol="BTCUSDT").update(quantity=Decimal("0.96"))
    elif change == "firm":
        halt_scope(PROCESS, scope="firm", reason="odd prints", grant=None)
    else:
        services.halt(PROCESS, venue="paper", reason="x", grant=None)
    with pytest.raises(IllegalTransition, match=word):
        executions.approve_rebalance(ctx, run_id=run.pk, reason="late", grant=None)
    assert not models.ParentOrder.objects.exists()


def test_what_goes_wrong_with_one_leg_is_told_and_the_rest_goes_on(ann: Person) -> None:
    ctx = service_context("portfolio")
    run = done_run(ctx, SELL, BUY)
    executions.approve_rebalance(ctx, run_id=run.pk, reason="monthly", grant=None)
    end_parent("BTCUSDT", share="0.2", cash="55000", detail="limit price 49500 was not met")
    look()
    # 55,000 buys 18.13 at 3,030 with a fee of 0.1 %, and never more than that is sent.
    parent = models.ParentOrder.objects.get(symbol="ETHUSDT")
    assert Decimal("18.13") < parent.quantity < Decimal("18.14")
    assert parent.quantity * 3030 * Decimal("1.001") <= 55_000
    end_parent("ETHUSDT", cash="100")
    look()
    execution = models.RebalanceExecution.objects.get()
    assert execution.state == "partial"
    assert "limit price 49500 was not met" in execution.why
    assert "free cash was enough for 18.13" in execution.why
    [signal] = OutboxMessage.objects.filter(topic="signals", key="rebalance_incomplete:paper")
    assert handle_message(service_context("incidents"), signal)
    assert Incident.objects.get(fingerprint=signal.key).kind == "rebalance_incomplete"


def test_a_leg_that_the_venue_would_not_take_any_more_is_given_up(ann: Person) -> None:
    ctx = service_context("portfolio")
    run = done_run(ctx, SELL, BUY)
    executions.approve_rebalance(ctx, run_id=run.pk, reason="monthly", grant=None)
    models.Instrument.objects.filter(symbol="ETHUSDT").update(min_lots=10**7)
    end_parent("BTCUSDT", cash="74975")
    look()
    execution = models.RebalanceExecution.objects.get()
    assert (execution.state, [state for _, state, _ in legs(run)]) == ("partial", ["done", "failed"])
    assert "expected at least" in execution.why


def test_no_buy_is_sent_on_money_that_other_orders_may_take(ann: Person) -> None:
    ctx = service_context("portfolio")
    instrument = models.Instrument.objects.get(symbol="ETHUSDT")
    other = {"symbol": "ETHUSDT", "side": "BUY", "quantity": "16", "algorithm": "twap", "params": {"slices": 1},
             "duration_s": 60, "limit_price": "3000"}  # fmt: skip
    services.parents.request_parent(ctx, instrument, other, "somebody else's")
    run = done_run(ctx, ("BUY", "BTCUSDT", "0.5"))
    executions.approve_rebalance(ctx, run_id=run.pk, reason="monthly", grant=None)
    sent = models.ParentOrder.objects.get(symbol="BTCUSDT")
    # 50,000 less 48,048 that the other order may still take.
    assert sent.quantity * Decimal(50_500) * Decimal("1.001") <= Decimal(1952)
    assert sent.quantity > Decimal("0.038")


def test_cancelling_ends_what_is_under_way_and_sends_nothing_more(ann: Person) -> None:
    browser, run = signed_in(ann), done_run(service_context("portfolio"), SELL, BUY)
    approve(browser, ann, run)
    answer = browser.send(f"/api/v1/rebalances/{run.pk}/cancel/", {"reason": "enough"})
    assert (answer.status_code, answer.json()["execution"]["state"]) == (202, "cancelling")
    assert legs(run)[1] == ("ETHUSDT", "cancelled", "")
    assert models.ParentOrder.objects.get().cancel_reason == "Rebalance cancelled: enough"
    again = browser.send(f"/api/v1/rebalances/{run.pk}/cancel/", {"reason": "really"})
    assert again.json()["execution"]["cancel_reason"] == "enough"
    end_parent("BTCUSDT", share="0.4", cash="60000")
    look()
    execution = models.RebalanceExecution.objects.get()
    assert (execution.state, [state for _, state, _ in legs(run)]) == ("cancelled", ["partial", "cancelled"])
    assert models.ParentOrder.objects.count() == 1
    assert browser.send(f"/api/v1/rebalances/{run.pk}/cancel/", {"reason": "x"}).status_code == 409


def test_while_trades_are_made_no_other_book_is_computed_or_worked(ann: Person) -> None:
    ctx = service_context("portfolio")
    first, second = done_run(ctx, SELL), done_run(ctx, SELL)
    executions.approve_rebalance(ctx, run_id=first.pk, reason="monthly", grant=None)
    with pytest.raises(Conflict, match="being worked"):
        executions.approve_rebalance(ctx, run_id=second.pk, reason="monthly", grant=None)
    with pytest.raises(Conflict, match="are being made"):
        rebalances.request_rebalance(ctx, venue="paper", policy={})


def scheduled(ctx: Context, *, execute: bool) -> models.RebalanceSchedule:
    policy = {"schedule": {"every_s": 600, "execute": execute}}
    return rebalance_schedules.set_schedule(ctx, venue="paper", policy=policy, reason="drift", grant=None)


@pytest.mark.parametrize("execute", [False, True])
def test_a_schedule_proposes_and_executes_only_where_the_policy_says_so(ann: Person, execute: bool) -> None:
    clock = FrozenClock()
    ctx = service_context("portfolio", clock=clock)
    schedule = scheduled(ctx, execute=execute)
    models.RebalanceSchedule.objects.filter(pk=schedule.pk).update(set_by=ann.user, set_by_name="ann")
    assert [rebalance_schedules.follow_schedules(ctx) for _ in range(3)] == [1, 0, 0]
    run = models.RebalanceRun.objects.get()
    assert (run.schedule, run.policy_digest) == (schedule, schedule.policy_digest)
    rebalances.begin_rebalance(ctx, run_id=run.pk)
    inputs = {"held": {"BTCUSDT": "1", "ETHUSDT": "0"}, "cash": "50000", "quote": "USDT"}
    rebalances.finish_rebalance(ctx, run_id=run.pk, inputs=inputs, outcome=outcome(SELL))
    rebalance_schedules.follow_schedules(ctx)
    rebalance_schedules.follow_schedules(ctx)
    assert models.ParentOrder.objects.count() == int(execute)
    assert [row.approved_by_name for row in models.RebalanceExecution.objects.all()] == ["ann"] * execute
    clock.advance(seconds=601)
    # The next one is asked for when it is due, and not while trades are being made.
    assert rebalance_schedules.follow_schedules(ctx) == int(not execute)
    rebalance_schedules.end_schedule(ctx, schedule_id=schedule.pk, reason="enough")
    clock.advance(seconds=601)
    assert rebalance_schedules.follow_schedules(ctx) == 0


@pytest.mark.parametrize("lost", ["account", "role"])
def test_a_schedule_trades_no_longer_than_its_setter_may(ann: Person, lost: str) -> None:
    ctx = service_context("portfolio")
    schedule = scheduled(ctx, execute=True)
    models.RebalanceSchedule.objects.filter(pk=schedule.pk).update(set_by=ann.user, set_by_name="ann")
    assert rebalance_schedules.follow_schedules(ctx) == 1
    run = models.RebalanceRun.objects.get()
    rebalances.begin_rebalance(ctx, run_id=run.pk)
    inputs = {"held": {"BTCUSDT": "1", "ETHUSDT": "0"}, "cash": "50000", "quote": "USDT"}
    rebalances.finish_rebalance(ctx, run_id=run.pk, inputs=inputs, outcome=outcome(SELL))
    if lost == "account":
        ann.user.is_active = False
        ann.user.save()
    else:
        ann.user.role_assignments.all().delete()
    rebalance_schedules.follow_schedules(ctx)
    schedule.refresh_from_db()
    assert schedule.ended_at is not None
    assert schedule.ended_reason == "ann may not order any more, and it traded on that leave"
    assert not models.RebalanceExecution.objects.exists()
    assert AuditEntry.objects.filter(event="trading.rebalance.schedule_ended").count() == 1
    assert "it has ended: ann may not order any more" in held_up("schedule").detail
    scheduled(ctx, execute=False)
    assert held_up("schedule").source_cleared_at is not None


@pytest.mark.parametrize("role", [Role.DEPLOYER, Role.VIEWER])
def test_who_may_not_cancel_orders_stops_no_schedule_that_trades(ann: Person, role: Role) -> None:
    schedule = scheduled(service_context("portfolio"), execute=True)
    browser = signed_in(make_person("dan", role))
    ending = browser.send(f"/api/v1/rebalance-schedules/{schedule.pk}/end/", {"reason": "x"})
    shy = {"policy": {"schedule": {"every_s": 60}}, "reason": "propose"}
    assert [ending.status_code, browser.send("/api/v1/rebalance-schedules/", shy).status_code] == [403, 403]
    schedule.refresh_from_db()
    assert schedule.ended_at is None


def test_a_leg_whose_instrument_is_halted_is_given_up(ann: Person) -> None:
    ctx = service_context("portfolio")
    run = done_run(ctx, SELL, BUY)
    executions.approve_rebalance(ctx, run_id=run.pk, reason="monthly", grant=None)
    halt_scope(PROCESS, scope="instrument:ETHUSDT", reason="odd prints", grant=None)
    end_parent("BTCUSDT", cash="74975")
    look()
    execution = models.RebalanceExecution.objects.get()
    assert (execution.state, [state for _, state, _ in legs(run)]) == ("partial", ["done", "failed"])
    assert "instrument:ETHUSDT is halted (odd prints)" in execution.why


def held_up(what: str) -> Incident:
    """The incident of a rebalance that does not go on, after all that was told of it."""
    for signal in OutboxMessage.objects.filter(topic="signals", key__endswith=f":{what}").order_by("id"):
        handle_message(service_context("incidents"), signal)
    return Incident.objects.get(kind="rebalance_held_up", fingerprint=f"rebalance_held_up:paper:{what}")


def test_what_an_older_version_wrote_holds_up_nothing_else(ann: Person) -> None:
    ctx = service_context("portfolio")
    run = done_run(ctx, SELL, BUY)
    executions.approve_rebalance(ctx, run_id=run.pk, reason="monthly", grant=None)
    schedule = scheduled(ctx, execute=False)
    models.RebalanceSchedule.objects.filter(pk=schedule.pk).update(policy={"bogus": 1})
    models.RebalanceRun.objects.filter(pk=run.pk).update(policy={"bogus": 1})
    end_parent("BTCUSDT", cash="74975")
    look_after()
    schedule.refresh_from_db()
    assert "its policy cannot be used by this version" in schedule.problem
    execution = models.RebalanceExecution.objects.get()
    assert (execution.state, [state for _, state, _ in legs(run)]) == ("partial", ["done", "failed"])
    assert "its policy cannot be used by this version" in execution.why


def test_what_does_not_go_on_says_so_until_it_does(ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = service_context("portfolio")
    run = done_run(ctx, SELL, BUY)
    executions.approve_rebalance(ctx, run_id=run.pk, reason="monthly", grant=None)
    schedule = scheduled(ctx, execute=False)

    def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise KeyError("bogus")

    end_parent("BTCUSDT", cash="74975")
    with monkeypatch.context() as patch:
        patch.setattr(executions, "cash_of", broken)
        patch.setattr(rebalance_schedules, "_work", broken)
        look_after()
        look_after()
    execution = models.RebalanceExecution.objects.get()
    assert execution.why == "it does not go on: KeyError: 'bogus'"
    schedule.refresh_from_db()
    assert schedule.problem == "it cannot be followed: KeyError: 'bogus'"
    assert [held_up(what).count for what in ("execution", "schedule")] == [1, 1]
    look_after()
    execution.refresh_from_db()
    schedule.refresh_from_db()
    assert (execution.why, schedule.problem) == ("", "")
    assert [held_up(what).source_cleared_at is None for what in ("execution", "schedule")] == [False, False]


def test_only_leave_for_the_whole_policy_lets_it_execute(ann: Person) -> None:
    browser = signed_in(ann)
    policy = {"schedule": {"every_s": 600, "execute": True}}
    shown = browser.send("/api/v1/rebalance-schedules/preview/", {"policy": policy}).json()
    assert shown["policy"] == json.loads(json.dumps(policy_data(parse_policy(policy))))
    body = {"policy": policy, "reason": "drift"}
    assert browser.send("/api/v1/rebalance-schedules/", body).status_code == 403
    asked = {"code": ann.fresh_code(), "action": "trading.rebalance", "object_id": f"paper:{shown['digest']}"}
    grant = browser.send("/api/v1/auth/step-up/", asked).json()["grant"]
    wider = {"policy": {**policy, "execution": {"price_move": 0.5}}, "reason": "drift", "grant": grant}
    assert browser.send("/api/v1/rebalance-schedules/", wider).status_code == 403
    made = browser.send("/api/v1/rebalance-schedules/", {**body, "grant": grant})
    assert (made.status_code, made.json()["active"]) == (201, True)
    # One that only proposes needs no code, and takes the place of the other.
    shy = {"policy": {"schedule": {"every_s": 60}}, "reason": "propose"}
    assert browser.send("/api/v1/rebalance-schedules/", shy).status_code == 201
    assert [row["active"] for row in browser.get("/api/v1/rebalance-schedules/").json()["results"]] == [True, False]
    with pytest.raises(Invalid, match="schedule"):
        rebalances.request_rebalance(service_context("portfolio"), venue="paper", policy=policy)


class Dying:
    """Cuts this process's line to the database before its statement number ``at``, as a kill does."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.left -= 1
        if not self.left:
            pid = connection.connection.info.backend_pid
            other = connections.create_connection("default")
            try:
                with other.cursor() as cursor:
                    cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
            finally:
                other.close()
        return execute(sql, params, many, context)


def dies(at: int, act: Any) -> bool:
    """Whether ``act`` came to statement ``at``, where its worker died."""
    death = Dying(at)
    try:
        with connection.execute_wrapper(death):
            act()
    except (OperationalError, InterfaceError):
        connection.close()
        return True
    assert death.left > 0
    return False


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_dies_at_any_statement_sends_nothing_twice(transactional_db: None) -> None:
    """Approving, then sending the buy: killed before each statement in turn, then once more after its commit."""
    book()
    ctx = service_context("portfolio")
    run = done_run(ctx, SELL, BUY)

    def approving() -> None:
        executions.approve_rebalance(ctx, run_id=run.pk, reason="monthly", grant=None)

    deaths = 0
    while dies(deaths + 1, approving):
        deaths += 1
        assert not models.ParentOrder.objects.exists(), f"statement {deaths}"
        assert not models.RebalanceExecution.objects.exists()
    assert deaths > 10
    # The answer was lost: it is asked for again.
    with pytest.raises(IllegalTransition, match="already"):
        approving()
    assert models.ParentOrder.objects.count() == 1
    end_parent("BTCUSDT", cash="74975")
    execution = models.RebalanceExecution.objects.get()
    deaths = 0
    while dies(deaths + 1, lambda: executions.advance(ctx, execution_id=execution.pk)):
        deaths += 1
        assert models.ParentOrder.objects.count() == 1, f"statement {deaths}"
    assert deaths > 10
    executions.advance(ctx, execution_id=execution.pk)
    sent = models.ParentOrder.objects.filter(rebalance_leg__execution=execution).values_list("symbol", flat=True)
    assert sorted(sent) == ["BTCUSDT", "ETHUSDT"]
    assert models.ParentOrder.objects.count() == 2
