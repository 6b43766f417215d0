"""Publishing limits by several people, and throwing drafts away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.domain.roles import Role
from apps.audit.models import AuditEntry
from apps.core.clock import FrozenClock
from apps.core.context import service_context
from apps.core.errors import PermissionRefused
from apps.core.models import OutboxMessage
from apps.policies import models, selectors, services
from apps.policies import services_publications as publications
from apps.policies.domain.limits import default_limits
from apps.streaming.topics import TOPICS
from apps.trading.models import Venue
from apps.trading.services import ensure_venue
from tests.factories.people import Browser, Person, make_person, signed_in

pytestmark = pytest.mark.django_db
SETUP = service_context("bootstrap")
LIMITS = "/api/v1/policies/limits/"
WISHES = "/api/v1/policies/publications/"


@pytest.fixture(autouse=True)
def live_desk() -> None:
    publications.ensure_default_limits(SETUP)
    ensure_venue(SETUP, name="paper", mode="paper")
    ensure_venue(SETUP, name="exchange", mode="live")


@pytest.fixture
def ann() -> Person:
    return make_person("ann", Role.RISK_OFFICER)


@pytest.fixture
def bob() -> Person:
    return make_person("bob", Role.RISK_OFFICER)


def draft(collar: int = 50) -> models.RiskLimits:
    return services.create_draft(SETUP, limits={**default_limits(), "collar_bps": collar}, note="tighter")


def coded(browser: Browser, who: Person, path: str, *, number: int = 2, digest: str = "") -> Any:
    """POST to ``path`` with a fresh code for version ``number`` as it is, or as ``digest`` says."""
    digest = digest or selectors.get_limits(number).digest
    asked = {"code": who.fresh_code(), "action": "policies.publish", "object_id": f"{number}:{digest}"}
    grant = browser.send("/api/v1/auth/step-up/", asked).json()["grant"]
    return browser.send(path, {"grant": grant})


def in_force() -> int:
    active = selectors.active_limits()
    assert active is not None
    return int(active["version"])


def asked_for(browser: Browser, who: Person) -> str:
    answer = coded(browser, who, f"{LIMITS}2/publish/")
    assert answer.status_code == 202, answer.content
    return str(answer.json()["publication"]["id"])


def test_on_paper_one_person_publishes_at_once(ann: Person) -> None:
    Venue.objects.update(mode="paper")
    draft()
    answer = coded(signed_in(ann), ann, f"{LIMITS}2/publish/")
    assert (answer.status_code, answer.json()["state"], answer.json()["publication"]) == (200, "active", None)
    assert not models.LimitsPublication.objects.exists()


def test_in_live_trading_one_asks_and_another_puts_it_in_force(ann: Person, bob: Person) -> None:
    draft()
    first, second = signed_in(ann), signed_in(bob)
    assert first.get(f"{LIMITS}publishing/").json() == {"mode": "live", "people": 2}
    wish = asked_for(first, ann)
    shown = first.get(WISHES).json()["results"][0]
    assert (shown["id"], shown["state"], shown["people"], shown["number"]) == (wish, "pending", 2, 2)
    assert [one["name"] for one in shown["consents"]] == ["ann"]
    assert in_force() == 1
    same = coded(first, ann, f"{WISHES}{wish}/approve/")
    assert (same.status_code, in_force()) == (403, 1), same.content
    assert "another person" in same.json()["detail"]
    done = coded(second, bob, f"{WISHES}{wish}/approve/")
    assert (done.status_code, done.json()["state"], done.json()["published_by"]) == (200, "active", "bob")
    assert [one["name"] for one in done.json()["publication"]["consents"]] == ["ann", "bob"]
    assert (in_force(), selectors.get_limits(1).state) == (2, "retired")
    events = list(
        AuditEntry.objects.filter(object_id="2", outcome="success").order_by("seq").values_list("event", "mfa")
    )
    assert events[-2:] == [("policies.publication.requested", "step_up"), ("policies.limits.published", "step_up")]
    held = AuditEntry.objects.filter(event="policies.limits.published").latest("seq").after
    assert held is not None
    assert [one["name"] for one in held["publication"]["consents"]] == ["ann", "bob"]
    kinds = OutboxMessage.objects.filter(topic="policies", key="2").order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["limits.drafted", "limits.publication_requested", "limits.published"]
    again = coded(second, bob, f"{WISHES}{wish}/approve/")
    assert (again.status_code, again.json()["code"]) == (409, "illegal_transition")


def test_a_code_is_for_exactly_the_version_that_was_shown(ann: Person, bob: Person) -> None:
    before = draft()
    browser = signed_in(ann)
    services.update_draft(SETUP, number=2, expected_version=1, limits={**default_limits(), "collar_bps": 60})
    assert coded(browser, ann, f"{LIMITS}2/publish/", digest=before.digest).status_code == 403
    wish = asked_for(browser, ann)
    other = signed_in(bob)
    assert coded(other, bob, f"{WISHES}{wish}/approve/", digest=before.digest).status_code == 403
    # Were the content to change behind the services' back, the request would not cover it.
    models.RiskLimits.objects.filter(number=2).update(digest="0" * 64)
    wanted = models.LimitsPublication.objects.get().digest
    changed = coded(other, bob, f"{WISHES}{wish}/approve/", digest=wanted)
    assert (changed.status_code, in_force()) == (409, 1)


def test_what_others_are_asked_about_stays_as_it_is_until_it_is_withdrawn(ann: Person) -> None:
    draft()
    browser = signed_in(ann)
    wish = asked_for(browser, ann)
    row = selectors.get_limits(2)
    edit = {"limits": default_limits(), "note": ""}
    match = {"If-Match": f'"{row.version}"'}
    assert browser.send(f"{LIMITS}2/", edit, method="PUT", **match).status_code == 409
    assert browser.send(f"{LIMITS}2/discard/", {"reason": "no"}, **match).status_code == 409
    assert coded(browser, ann, f"{LIMITS}2/publish/").status_code == 409
    withdrawn = browser.send(f"{WISHES}{wish}/reject/").json()
    assert (withdrawn["state"], withdrawn["publication"]["state"]) == ("draft", "rejected")
    assert browser.send(f"{WISHES}{wish}/reject/").status_code == 409
    match = {"If-Match": f'"{withdrawn["version"]}"'}
    assert browser.send(f"{LIMITS}2/", edit, method="PUT", **match).status_code == 200
    assert asked_for(browser, ann) != wish


def test_a_request_runs_out_and_may_be_asked_for_anew(ann: Person, bob: Person) -> None:
    draft()
    browser = signed_in(ann)
    wish = asked_for(browser, ann)
    assert publications.expire_publications(SETUP) == 0
    models.LimitsPublication.objects.update(expires_at=SETUP.now() - timedelta(seconds=1))
    assert coded(signed_in(bob), bob, f"{WISHES}{wish}/approve/").status_code == 409
    assert asked_for(browser, ann) != wish
    assert models.LimitsPublication.objects.get(pk=wish).state == "expired"
    clock = FrozenClock(SETUP.now())
    clock.advance(seconds=3601)
    assert publications.expire_publications(service_context("incidents", clock=clock)) == 1
    assert AuditEntry.objects.filter(event="policies.publication.expired").count() == 2
    assert in_force() == 1


def test_policy_may_want_three_people_and_nobody_counts_twice(ann: Person, bob: Person) -> None:
    services.set_approval(SETUP, action="policies.publish", mode="live", people=3)
    draft()
    wish = asked_for(signed_in(ann), ann)
    second = signed_in(bob)
    answer = coded(second, bob, f"{WISHES}{wish}/approve/")
    assert (answer.status_code, answer.json()["state"]) == (202, "draft")
    assert (coded(second, bob, f"{WISHES}{wish}/approve/").status_code, in_force()) == (403, 1)
    eve = make_person("eve", Role.RISK_OFFICER)
    assert coded(signed_in(eve), eve, f"{WISHES}{wish}/approve/").json()["state"] == "active"
    asked = models.LimitsPublication.objects.get()
    with pytest.raises(IntegrityError, match="publication_consent_once"), transaction.atomic():
        models.PublicationConsent.objects.create(publication=asked, user=bob.user, name="bob", at=SETUP.now())


def test_only_who_may_edit_policies_asks_consents_or_refuses(ann: Person) -> None:
    draft()
    wish = asked_for(signed_in(ann), ann)
    op = make_person("op", Role.OPERATOR)
    browser = signed_in(op)
    assert coded(browser, op, f"{WISHES}{wish}/approve/").status_code == 403
    assert browser.send(f"{WISHES}{wish}/reject/").status_code == 403
    assert coded(browser, op, f"{LIMITS}2/publish/").status_code == 403
    assert browser.get(WISHES).status_code == 200
    missing = browser.send(f"{WISHES}{models.LimitOverride().pk}/reject/")
    assert missing.status_code == 404


@pytest.mark.django_db(transaction=True)
def test_that_one_person_wanted_to_count_twice_stays_on_the_trail(ann: Person) -> None:
    draft()
    browser = signed_in(ann)
    wish = asked_for(browser, ann)
    assert coded(browser, ann, f"{WISHES}{wish}/approve/").status_code == 403
    entry = AuditEntry.objects.get(event="policies.publication.refused")
    assert (entry.actor_name, entry.object_id, entry.outcome) == ("ann", "2", "denied")


def test_a_setup_command_does_not_replace_live_limits_by_itself() -> None:
    draft()
    with pytest.raises(PermissionRefused, match="policy wants 2 people"), transaction.atomic():
        publications.publish(SETUP, number=2, grant=None)
    assert in_force() == 1


def test_a_draft_is_thrown_away_with_a_reason_and_stays_on_record(ann: Person) -> None:
    row = draft()
    browser = signed_in(ann)
    path = f"{LIMITS}2/discard/"
    assert browser.send(path, {"reason": "no use"}).status_code == 428
    assert browser.send(path, {"reason": "no use"}, **{"If-Match": '"7"'}).status_code == 412
    assert browser.send(path, {"reason": " "}, **{"If-Match": '"1"'}).status_code == 400
    gone = browser.send(path, {"reason": "no  use"}, **{"If-Match": '"1"'})
    assert (gone.status_code, gone.json()["state"], gone.json()["discard_reason"]) == (200, "discarded", "no use")
    entry = AuditEntry.objects.filter(event="policies.limits.discarded").latest("seq")
    assert (entry.reason, entry.actor_name) == ("no use", "ann")
    assert coded(browser, ann, f"{LIMITS}2/publish/", digest=row.digest).status_code == 409
    assert browser.send(path, {"reason": "again"}, **{"If-Match": '"2"'}).status_code == 409
    assert draft().number == 3, "a number is never used twice"
    op = signed_in(make_person("op", Role.OPERATOR))
    assert op.send(f"{LIMITS}3/discard/", {"reason": "x"}, **{"If-Match": '"1"'}).status_code == 403


def test_the_version_in_force_stays_on_the_live_topic_behind_many_drafts() -> None:
    for _ in range(25):
        draft()
    numbers = [key for key, row in TOPICS["policies"].snapshot() if row.get("object") != "override"]
    assert (len(numbers), numbers[-1]) == (21, "1")
