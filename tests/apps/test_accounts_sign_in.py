"""Signing in takes both steps, tells nothing, and cannot be hurried or repeated."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import TotpDevice, UserSession
from apps.accounts.services.factors import check_totp
from apps.audit.models import AuditEntry
from apps.core.errors import WrongCode
from apps.streaming.callers import caller_of
from tests.factories.people import PASSWORD, Browser, make_person, signed_in

pytestmark = pytest.mark.django_db

SIGN_IN = "/api/v1/auth/sign-in/"
CODE = "/api/v1/auth/second-factor/"
STATE = "/api/v1/auth/state/"


def events() -> list[str]:
    return list(AuditEntry.objects.order_by("seq").values_list("event", flat=True))


def test_two_steps_sign_a_person_in() -> None:
    who = make_person("ada", "operator")
    browser = Browser()
    assert browser.get(STATE).json()["state"] == "anonymous"
    answer = browser.send(SIGN_IN, {"username": "ada", "password": PASSWORD})
    assert answer.json()["state"] == "second_factor"
    assert browser.get("/api/v1/auth/sessions/").status_code == 401
    before = browser.session.session_key
    answer = browser.send(CODE, {"code": who.code()})
    body = answer.json()
    assert body["state"] == "signed_in"
    assert body["user"]["roles"] == ["operator"]
    assert "trading.halt" in body["user"]["capabilities"]
    assert body["user"]["recovery_codes_left"] == 10
    assert browser.session.session_key != before
    assert events()[-2:] == ["accounts.sign_in.password_accepted", "accounts.sign_in.succeeded"]
    row = AuditEntry.objects.latest("seq")
    assert (row.actor_name, row.ip) == ("ada", "127.0.0.1")


def test_the_entry_of_a_sign_in_says_that_the_second_factor_was_passed() -> None:
    signed_in(make_person("ada", "operator"))
    entry = AuditEntry.objects.get(event="accounts.sign_in.succeeded")
    assert (entry.actor_name, entry.mfa) == ("ada", "otp")


def test_the_csrf_token_is_checked_before_there_is_a_session() -> None:
    make_person("ada")
    answer = Browser().generic("POST", SIGN_IN, "{}", content_type="application/json")
    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("credentials", [("ada", "wrong"), ("nobody", PASSWORD), ("", "x")])
def test_a_refusal_does_not_tell_what_was_wrong(credentials: tuple[str, str]) -> None:
    make_person("ada")
    name, password = credentials
    answer = Browser().send(SIGN_IN, {"username": name or "nobody", "password": password})
    assert answer.status_code == 401
    assert (answer.json()["code"], answer.json()["detail"]) == ("sign_in_refused", "name or password is wrong")


def test_a_name_that_is_nobodys_is_not_recorded() -> None:
    Browser().send(SIGN_IN, {"username": "my-secret-typed-as-name", "password": "x"})
    row = AuditEntry.objects.get()
    assert row.event == "accounts.sign_in.refused"
    assert "my-secret" not in f"{row.after} {row.object_id} {row.reason}"


def test_failures_make_the_next_try_wait_and_say_how_long() -> None:
    make_person("ada")
    browser = Browser()
    for _ in range(5):
        assert browser.send(SIGN_IN, {"username": "ada", "password": "no"}).status_code == 401
    answer = browser.send(SIGN_IN, {"username": "ada", "password": PASSWORD})
    assert answer.status_code == 429
    assert 1 <= answer.json()["fields"]["retry_after_s"] <= 2
    assert answer["Retry-After"] == str(answer.json()["fields"]["retry_after_s"])
    assert events()[-1] == "accounts.sign_in.throttled"


def test_wrong_codes_wait_too_and_a_used_code_says_so() -> None:
    who = make_person("ada")
    browser = Browser()
    browser.send(SIGN_IN, {"username": "ada", "password": PASSWORD})
    wrong = "000000" if who.code() != "000000" else "000001"
    answer = browser.send(CODE, {"code": wrong})
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_code")
    answer = browser.send(CODE, {"code": who.code()})
    assert answer.status_code == 429
    signed_in(who)
    TotpDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    with pytest.raises(WrongCode, match="used already"):
        check_totp(who.context(), user=who.user, code=who.code())


def test_the_code_step_alone_leads_nowhere() -> None:
    who = make_person("ada")
    assert Browser().send(CODE, {"code": who.code()}).status_code == 401


def test_a_closed_account_cannot_sign_in() -> None:
    who = make_person("ada")
    who.user.is_active = False
    who.user.save()
    assert Browser().send(SIGN_IN, {"username": "ada", "password": PASSWORD}).status_code == 401


def test_signing_out_ends_the_session_for_good() -> None:
    browser = signed_in(make_person("ada"))
    cookie = browser.cookies["sessionid"].value
    assert browser.send("/api/v1/auth/sign-out/").json()["state"] == "anonymous"
    stolen = Browser()
    stolen.cookies["sessionid"] = cookie
    assert stolen.get("/api/v1/auth/sessions/").status_code == 401
    assert UserSession.objects.get().end_reason == "signed out"


@pytest.mark.django_db(transaction=True)
def test_one_code_serves_one_of_two_simultaneous_requests() -> None:
    who = make_person("ada")
    code, outcomes, start = who.code(), [], threading.Barrier(2)

    def run() -> None:
        try:
            start.wait()
            check_totp(who.context(), user=who.user, code=code)
            outcomes.append("accepted")
        except WrongCode:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["accepted", "refused"]


def test_an_open_socket_does_not_keep_a_session_from_idling_out() -> None:
    browser = signed_in(make_person("ada"))
    before = timezone.now() - timedelta(minutes=5)
    UserSession.objects.update(last_seen_at=before)
    assert caller_of(browser.session.session_key, "127.0.0.1") is not None
    assert UserSession.objects.get().last_seen_at == before
    assert browser.get("/api/v1/auth/sessions/").status_code == 200
    assert UserSession.objects.get().last_seen_at > before


def test_what_a_page_fetches_by_itself_does_not_keep_a_session_from_idling_out() -> None:
    browser = signed_in(make_person("ada"))
    before = timezone.now() - timedelta(minutes=5)
    UserSession.objects.update(last_seen_at=before)
    assert browser.get("/api/v1/auth/sessions/", headers={"X-Background": "1"}).status_code == 200
    assert UserSession.objects.get().last_seen_at == before
    browser.post("/api/v1/auth/step-up/", {}, headers={"X-Background": "1"})
    assert UserSession.objects.get().last_seen_at > before
