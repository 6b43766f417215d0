"""Parent orders: asked for over HTTP, worked by a kernel, projected back, and told live."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from apps.accounts.domain.roles import Role
from apps.audit.models import AuditEntry
from apps.core.context import service_context
from apps.core.errors import Invalid
from apps.core.models import OutboxMessage
from apps.streaming.topics import TOPICS
from apps.trading import services
from apps.trading.domain.parents import plan_request
from apps.trading.models import Order, ParentOrder
from apps.trading.selectors_parents import desired_parents
from apps.trading.services.scopes import halt_scope
from tests.factories import journal
from tests.factories.people import Browser, Person, make_person, signed_in
from tests.support.kernels import BTC
from tests.support.parents import Bench
from workers.engine.execution.parent import ParentRequest, ParentStatus

pytestmark = pytest.mark.django_db
PROCESS = service_context("projector")
URL = "/api/v1/parents/"


@pytest.fixture
def bench() -> Bench:
    """A kernel whose journal so far is projected."""
    made = Bench()
    project(made)
    return made


def project(bench: Bench) -> None:
    services.project(PROCESS, worker="w", records=journal.records(bench.rig.journal))  # type: ignore[arg-type]  # all are Journalled


@pytest.fixture
def ann() -> Person:
    return make_person("ann", Role.OPERATOR)


def body(**changes: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "quantity": "1.2",
        "algorithm": "twap",
        "params": {"slices": 3, "style": "take"},
        "duration_s": 60,
        "limit_price": "105.00",
        "reason": "build the position",
        **changes,
    }


def wish(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in body(**changes).items() if name != "reason"}


def granted(browser: Browser, who: Person, **changes: Any) -> str:
    """Leave for the order as the preview shows it; for nothing where there is nothing to show."""
    digest = browser.send(f"{URL}preview/", wish(**changes)).json().get("digest", "")
    asked = {"code": who.fresh_code(), "action": "trading.order", "object_id": f"paper:{digest}"}
    return str(browser.send("/api/v1/auth/step-up/", asked).json()["grant"])


def submit(browser: Browser, who: Person, **changes: Any) -> Any:
    return browser.send(URL, {**body(**changes), "grant": granted(browser, who, **changes)})


def obey(bench: Bench) -> None:
    """What the loop does with a look at the tables."""
    kernel, now = bench.rig.kernel, bench.rig.now
    for wanted in desired_parents("paper"):
        request = msgspec.convert(wanted["request"], ParentRequest)
        # The kernel of the test lives in a time of its own.
        moved = msgspec.structs.replace(request, start=now, end=now + request.end - request.start if request.end else 0)
        if wanted["parent_id"] not in bench.books.parents:
            bench.rig.take(
                kernel.start_parent(
                    now, moved, parent_id=wanted["parent_id"], by=wanted["by"], cancelled=wanted["cancelled"]
                )
            )
        elif wanted["cancelled"]:
            bench.rig.take(kernel.cancel_parent(now, parent_id=wanted["parent_id"], reason=wanted["cancelled"]))


def test_a_parent_is_asked_for_worked_and_told(bench: Bench, ann: Person) -> None:
    browser = signed_in(ann)
    answer = submit(browser, ann)
    assert answer.status_code == 202, answer.content
    row = answer.json()
    assert (row["status"], row["by"], row["filled"], row["open"]) == ("REQUESTED", "ann", 0.0, True)
    obey(bench)
    bench.run(61)
    project(bench)
    done = browser.get(f"{URL}{row['parent_id']}/").json()
    assert (done["status"], done["filled_quantity"], done["children"], done["open"]) == ("FILLED", "1.2", 3, False)
    assert (done["reason"], done["by"]) == ("build the position", "ann")
    bench.run(35)
    project(bench)
    costs = browser.get(f"{URL}{row['parent_id']}/").json()["costs"]
    # Bought two ticks above a middle of 100 that did not move: two basis points of impact, and of every mark-out.
    assert {name: costs[name] for name in ("explicit", "delay", "impact", "missed", "total")} == {
        "explicit": "0", "delay": "0", "impact": "2", "missed": "0", "total": "2",
    }  # fmt: skip
    assert {round(value) for value in costs["markouts"].values()} == {-2}
    done = browser.get(f"{URL}{row['parent_id']}/").json()
    children = browser.get(f"/api/v1/trading/orders/?parent_id={row['parent_id']}").json()["results"]
    assert [child["quantity"] for child in children] == ["0.4", "0.4", "0.4"]
    newest = OutboxMessage.objects.filter(topic="parents").latest("id")
    assert newest.data == done
    assert dict(TOPICS["parents"].snapshot())[row["parent_id"]] == done
    entry = AuditEntry.objects.get(event="trading.parent.requested")
    assert (entry.object_id, entry.reason) == (row["parent_id"], "build the position")
    assert desired_parents("paper") == []


def test_a_cancel_reaches_the_loop_and_ends_the_parent(bench: Bench, ann: Person) -> None:
    browser = signed_in(ann)
    parent_id = submit(browser, ann, params={"slices": 3}).json()["parent_id"]
    obey(bench)
    project(bench)
    answer = browser.send(f"{URL}{parent_id}/cancel/", {"reason": "enough"})
    assert (answer.status_code, answer.json()["cancel_requested"]) == (202, True)
    again = browser.send(f"{URL}{parent_id}/cancel/", {"reason": "really"})
    assert again.json()["cancel_reason"] == "enough"
    obey(bench)
    bench.answer(1)
    project(bench)
    parent = ParentOrder.objects.get(pk=parent_id)
    assert (parent.status, parent.detail) == ("CANCELED", "enough (ann)")
    assert bench.books.parents[parent_id].status is ParentStatus.CANCELED
    over = browser.send(f"{URL}{parent_id}/cancel/", {"reason": "again"})
    assert (over.status_code, over.json()["code"]) == (409, "illegal_transition")
    assert AuditEntry.objects.filter(event="trading.parent.cancel_requested").count() == 1


def test_a_cancel_while_records_come_in_is_not_lost(bench: Bench, ann: Person) -> None:
    """Projection and people write the same row, and neither the other's columns."""
    browser = signed_in(ann)
    parent_id = submit(browser, ann).json()["parent_id"]
    obey(bench)
    browser.send(f"{URL}{parent_id}/cancel/", {"reason": "enough"})
    bench.answer()
    project(bench)
    parent = ParentOrder.objects.get(pk=parent_id)
    assert (parent.status, parent.cancel_reason, parent.reason) == ("ACTIVE", "enough", "build the position")
    assert desired_parents("paper")[0]["cancelled"] == "enough (ann)"


def test_a_strategy_s_parent_is_listed_and_can_be_cancelled(bench: Bench, ann: Person) -> None:
    desk, rig = bench.rig.kernel.desk, bench.rig
    request = ParentRequest(symbol="BTCUSDT", side=1, lots=50_000, algorithm="iceberg", params={"display_lots": 20_000})  # type: ignore[arg-type]  # the side's value
    parent_id = desk.execute(msgspec.convert(msgspec.to_builtins(request), ParentRequest))
    rig.take(rig.kernel.on_timer(rig.now))
    project(bench)
    browser = signed_in(ann)
    (row,) = browser.get(f"{URL}?open=true").json()["results"]
    assert (row["parent_id"], row["by"], row["run_id"]) == (parent_id, "test_hand", "run-1")
    assert Order.objects.filter(parent_id=parent_id).count() == 1
    browser.send(f"{URL}{parent_id}/cancel/", {"reason": "enough"})
    (wanted,) = desired_parents("paper")
    assert (wanted["parent_id"], wanted["cancelled"]) == (parent_id, "enough")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"quantity": "1.000001"}, "quantity"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "lots"}, "quantity"),
        ({"limit_price": "1.001"}, "limit_price"),
        ({"limit_price": "0"}, "limit_price"),
        ({"algorithm": "magic"}, "algorithm"),
        ({"params": {"slices": 0}}, "params"),
        ({"duration_s": None}, "duration_s"),
        ({"algorithm": "iceberg", "params": {"display_quantity": "x"}}, "params.display_quantity"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        plan_request(body(**changes), BTC, now_ns=0)
    assert refused.value.fields["field"] == field


def test_quantities_of_parameters_become_lots() -> None:
    asked = body(algorithm="iceberg", params={"display_quantity": "0.25", "vary": 0.1}, duration_s=None)
    request = plan_request(asked, BTC, now_ns=5)
    assert request.params == {"display_lots": 25_000, "vary": 0.1}
    assert (request.start, request.end, request.lots, request.limit_price) == (5, 0, 120_000, 10_500)


def test_ordering_takes_the_capability_a_fresh_code_and_a_venue_that_trades(bench: Bench, ann: Person) -> None:
    viewer = signed_in(make_person("vic"))
    assert viewer.send(URL, body()).status_code == 403
    assert submit(signed_in(ann), ann, symbol="NONE").json()["fields"]["field"] == "symbol"
    browser = signed_in(ann)
    assert browser.send(URL, body()).json()["code"] == "step_up_required"
    asked = {"code": ann.fresh_code(), "action": "trading.halt", "object_id": "paper"}
    grant = browser.send("/api/v1/auth/step-up/", asked).json()["grant"]
    browser.send("/api/v1/trading/halts/", {"reason": "stop", "grant": grant})
    halted = submit(browser, ann)
    assert (halted.status_code, halted.json()["code"]) == (409, "illegal_transition")
    assert not ParentOrder.objects.exists()


@pytest.mark.parametrize("scope", ["firm", "venue:paper", "instrument:BTCUSDT"])
def test_no_order_is_collected_under_a_halt_that_covers_it(bench: Bench, ann: Person, scope: str) -> None:
    halt_scope(PROCESS, scope=scope, reason="odd prints", grant=None)
    browser = signed_in(ann)
    shown = browser.send(f"{URL}preview/", body()).json()
    assert (shown["halted"], shown["halt"]) == (True, f"{scope} is halted (odd prints); resume it first")
    refused = submit(browser, ann)
    assert (refused.status_code, refused.json()["detail"]) == (409, shown["halt"])
    assert not ParentOrder.objects.exists()


def test_the_same_key_asks_once(bench: Bench, ann: Person) -> None:
    browser = signed_in(ann)
    grant = granted(browser, ann)
    first = browser.send(URL, {**body(), "grant": grant}, key="parent-key-1")
    second = browser.send(URL, {**body(), "grant": grant}, key="parent-key-1")
    assert first.json() == second.json()
    assert ParentOrder.objects.count() == 1


def test_an_order_that_is_repeated_with_a_new_code_is_not_placed_twice(bench: Bench, ann: Person) -> None:
    """The answer was lost: the repeat carries the same key and, the code being used up, another grant."""
    browser, answers = signed_in(ann), []
    for quantity in ("1.2", "1.2", "1.3"):
        grant = granted(browser, ann, quantity=quantity)
        answers.append(browser.send(URL, {**body(quantity=quantity), "grant": grant}, key="one-intention"))
    assert [answer.status_code for answer in answers] == [202, 202, 409]
    assert answers[0].json() == answers[1].json()
    assert ParentOrder.objects.count() == 1


def test_what_would_be_asked_for_is_shown_and_leave_is_for_that_alone(bench: Bench, ann: Person) -> None:
    browser = signed_in(ann)
    shown = browser.send(f"{URL}preview/", wish(seed=7)).json()
    assert (shown["quantity"], shown["base"], shown["duration_s"], shown["params"]["slices"]) == ("1.2", "BTC", 60, 3)
    assert not ParentOrder.objects.exists()
    changed: list[dict[str, Any]] = [
        {"quantity": "1.3"}, {"side": "SELL"}, {"limit_price": "106.00"}, {"duration_s": 61}, {"starts_in_s": 5},
        {"params": {"slices": 4, "style": "take"}}, {"algorithm": "vwap", "params": {}},
        {"reduce_only": True}, {"seed": 8},
    ]  # fmt: skip
    grant = granted(browser, ann, seed=7)
    for change in changed:
        refused = browser.send(URL, {**body(**{"seed": 7, **change}), "grant": grant})
        assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required"), change
    # The same order written otherwise is the same order.
    same = browser.send(URL, {**body(seed=7, quantity="1.20", limit_price="105"), "grant": grant})
    assert same.status_code == 202, same.content
    assert ParentOrder.objects.count() == 1
