"""Taking the venue's balance where ours truly differs: signed for exactly, by two people in live, carried out once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from apps.accounts.domain.roles import Role
from apps.audit.models import AuditEntry
from apps.core.clock import FrozenClock
from apps.core.context import service_context
from apps.trading import models, services
from apps.trading.domain.adoptions import balance_breaks
from apps.trading.selectors_adoptions import desired_adoptions
from apps.trading.services import adoptions
from tests.factories import journal
from tests.factories.people import Browser, Person, make_person, signed_in
from workers.engine import events as ev

pytestmark = pytest.mark.django_db
PROCESS = service_context("projector")
BREAK = "USDT: 100000 here, 99990.5 at the venue"
PATH = "/api/v1/trading/balance-adoptions/"


@pytest.fixture(autouse=True)
def differing() -> list[ev.Journalled]:
    later = journal.START + journal.SECOND
    broken = ev.ReconciliationDone(ts=later, ok=False, orders_checked=0, fills_adopted=0, breaks=(BREAK, "order x"))
    events: list[ev.Journalled] = [*journal.opening(), broken]
    services.project(PROCESS, worker="w", records=journal.records(events))
    return events


@pytest.fixture
def ann() -> Person:
    return make_person("ann", Role.OPERATOR)


def order(browser: Browser, who: Person, digest: str, **changes: Any) -> Any:
    asked = {"code": who.fresh_code(), "action": "trading.adopt_balance", "object_id": f"paper:{digest}"}
    grant = browser.send("/api/v1/auth/step-up/", asked).json()["grant"]
    body = {"asset": "USDT", "ours": "100000", "theirs": "99990.5", "reason": "fee of the venue", "grant": grant}
    return browser.send(PATH, {**body, **changes})


def shown(browser: Browser) -> list[dict[str, str]]:
    found: list[dict[str, str]] = browser.get("/api/v1/trading/balance-breaks/").json()["breaks"]
    return found


def test_a_difference_is_shown_signed_for_and_wanted_of_the_worker(ann: Person, differing: list[ev.Journalled]) -> None:
    browser = signed_in(ann)
    [seen] = shown(browser)
    assert (seen["asset"], seen["ours"], seen["theirs"]) == ("USDT", "100000", "99990.5")
    assert order(browser, ann, seen["digest"], theirs="99990.4").status_code == 403
    made = order(browser, ann, seen["digest"])
    assert (made.status_code, made.json()["state"]) == (202, "approved"), made.content
    [wanted] = desired_adoptions("paper", now=PROCESS.now())
    assert (wanted["asset"], wanted["ours"], wanted["theirs"]) == ("USDT", 100_000 * 10**8, 9_999_050_000_000)
    assert wanted["until"] > PROCESS.now().timestamp() * 10**9
    assert order(browser, ann, seen["digest"]).status_code == 409
    assert adoptions.look_after_adoptions(PROCESS) == 0
    # That the balance comes to be the same by a trade is no deed of the worker's on this decision.
    later = journal.START + 2 * journal.SECOND
    same = ev.BalanceAdopted(ts=later, asset="USDT", total=wanted["theirs"])
    services.project(PROCESS, worker="w", records=journal.records([*differing, same]))
    assert adoptions.look_after_adoptions(PROCESS) == 0
    # What the worker journals when it finds exactly that.
    done = ev.BalanceAdopted(ts=later, asset="USDT", total=wanted["theirs"], decision=wanted["id"])
    services.project(PROCESS, worker="w", records=journal.records([*differing, same, done]))
    assert adoptions.look_after_adoptions(PROCESS) == 1
    assert browser.get(PATH).json()["results"][0]["state"] == "done"
    assert shown(browser) == []
    assert desired_adoptions("paper", now=PROCESS.now()) == []
    first, last = AuditEntry.objects.filter(event__startswith="trading.balance").order_by("seq")
    assert (first.event, first.mfa, first.reason) == ("trading.balance.adoption_ordered", "step_up", "fee of the venue")
    assert last.event == "trading.balance.adopted"


def compared(*breaks: str, at_venue: str = "", after: int, **changes: Any) -> ev.ReconciliationDone:
    ts = journal.START + after * journal.SECOND
    told = {"ok": not breaks, "orders_checked": 0, "fills_adopted": 0, "breaks": breaks, "venue": at_venue}
    return ev.ReconciliationDone(ts=ts, **{**told, **changes})


def test_what_came_right_by_itself_is_shown_no_longer(ann: Person, differing: list[ev.Journalled]) -> None:
    browser = signed_in(ann)
    events: list[ev.Journalled] = list(differing)

    def then(event: ev.ReconciliationDone) -> list[str]:
        events.append(event)
        services.project(PROCESS, worker="w", records=journal.records(events))
        return [one["asset"] for one in shown(browser)]

    # Neither another venue's comparison nor a venue that is away says anything of this balance.
    assert then(compared(at_venue="beta", after=2)) == ["USDT"]
    assert then(compared("the venue is lost", after=3, compared=False)) == ["USDT"]
    assert then(compared(after=4)) == []


def test_what_was_carried_out_in_the_last_second_is_no_decision_that_ran_out(
    ann: Person, differing: list[ev.Journalled]
) -> None:
    browser = signed_in(ann)
    [seen] = shown(browser)
    made = order(browser, ann, seen["digest"]).json()
    clock = FrozenClock(PROCESS.now())
    clock.advance(seconds=901)
    adoptions.look_after_adoptions(service_context("trading", clock=clock))
    assert models.BalanceAdoption.objects.get().state == "expired"
    ts = journal.START + 2 * journal.SECOND
    done = ev.BalanceAdopted(ts=ts, asset="USDT", total=9_999_050_000_000, decision=made["id"])
    services.project(PROCESS, worker="w", records=journal.records([*differing, done]))
    adoptions.look_after_adoptions(service_context("trading", clock=clock))
    assert models.BalanceAdoption.objects.get().state == "done"


def test_in_live_trading_another_person_must_approve(ann: Person) -> None:
    models.Venue.objects.update(mode="live")
    browser = signed_in(ann)
    [seen] = shown(browser)
    made = order(browser, ann, seen["digest"]).json()
    assert (made["state"], desired_adoptions("paper", now=PROCESS.now())) == ("pending", [])

    def approve(who: Person, with_browser: Browser) -> Any:
        asked = {"code": who.fresh_code(), "action": "trading.adopt_balance", "object_id": f"paper:{seen['digest']}"}
        grant = with_browser.send("/api/v1/auth/step-up/", asked).json()["grant"]
        return with_browser.send(f"{PATH}{made['id']}/approve/", {"grant": grant})

    assert approve(ann, browser).status_code == 403
    bob = make_person("bob", Role.RISK_OFFICER)
    approved = approve(bob, signed_in(bob))
    assert (approved.status_code, approved.json()["approved_by"]) == (200, "bob")
    assert len(desired_adoptions("paper", now=PROCESS.now())) == 1


def test_a_decision_that_no_worker_carries_out_runs_out(ann: Person) -> None:
    browser = signed_in(ann)
    [seen] = shown(browser)
    order(browser, ann, seen["digest"])
    clock = FrozenClock(PROCESS.now())
    clock.advance(seconds=901)
    later = service_context("portfolio", clock=clock)
    assert desired_adoptions("paper", now=later.now()) == []
    assert adoptions.look_after_adoptions(later) == 1
    assert models.BalanceAdoption.objects.get().state == "expired"
    viewer = signed_in(make_person("vic"))
    assert viewer.send(PATH, {"asset": "USDT", "ours": "1", "theirs": "2", "reason": "x"}).status_code == 403


def test_only_balances_are_read_from_breaks() -> None:
    said = [BREAK, "order o-1 is UNKNOWN here and unknown at the venue", "BTC@beta: 0.5 here, 0 at the venue"]
    assert [(one.asset, one.theirs) for one in balance_breaks(said)] == [
        ("USDT", Decimal("99990.5")), ("BTC@beta", Decimal(0)),
    ]  # fmt: skip
