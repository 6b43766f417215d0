"""Second factors at rest, step-up grants, recovery codes and changing the authenticator."""

from __future__ import annotations

import base64
import threading
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django_otp.oath import totp

from apps.accounts.models import RecoveryCode, RecoveryCodeDevice, StepUpGrant, TotpDevice, UserSession
from apps.accounts.services.factors import begin_totp, confirm_totp, use_recovery_code
from apps.accounts.services.stepup import consume_grant, grant
from apps.audit.models import AuditEntry
from apps.core.context import Context, MfaLevel, service_context
from apps.core.crypto import SealBroken
from apps.core.errors import Conflict, Invalid, NotFound, StepUpRequired, Throttled, WrongCode
from tests.factories.people import PASSWORD, Browser, Person, make_person, signed_in

pytestmark = pytest.mark.django_db

RESUME = {"action": "trading.resume", "object_id": "paper"}


def granted(who: Person, ctx: Context | None = None) -> StepUpGrant:
    return grant(ctx or who.context(), code=who.fresh_code(), **RESUME)


def test_no_secret_lies_in_the_database_in_the_clear() -> None:
    who = make_person("ada")
    device = TotpDevice.objects.get()
    assert who.key not in bytes(device.sealed_key)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t::text FROM accounts_recoverycode t UNION ALL SELECT t::text FROM accounts_totpdevice t"
        )
        rows = " ".join(row[0] for row in cursor.fetchall())
    for code in who.recovery_codes:
        assert code not in rows
        assert code.replace("-", "") not in rows
    assert who.key.hex() not in rows


def test_a_key_that_was_copied_to_another_row_does_not_open() -> None:
    ada, eve = make_person("ada"), make_person("eve")
    stolen = TotpDevice.objects.get(user=ada.user).sealed_key
    TotpDevice.objects.filter(user=eve.user).update(sealed_key=stolen)
    with pytest.raises(SealBroken, match="does not open"):
        TotpDevice.objects.get(user=eve.user).verify_token(ada.code())


@pytest.mark.parametrize("code", ["", "abcdef", "12345", "1234567", "١٢٣٤٥٦", "-12345", "0x1234"])
def test_what_is_no_code_is_refused(code: str) -> None:
    who = make_person("ada")
    assert not TotpDevice.objects.get(user=who.user).verify_token(code)


@pytest.mark.django_db(transaction=True)
def test_a_grant_is_used_once_for_its_action_and_object() -> None:
    who = make_person("ada", "operator")
    made = granted(who)
    with transaction.atomic():
        ctx = consume_grant(who.context(), grant_id=made.pk, **RESUME)
    assert (ctx.mfa, ctx.evidence) == (MfaLevel.STEP_UP, f"step_up:{made.pk}")
    with pytest.raises(StepUpRequired, match="used already"), transaction.atomic():
        consume_grant(who.context(), grant_id=made.pk, **RESUME)
    row = AuditEntry.objects.latest("seq")
    assert (row.event, row.outcome, row.object_id) == ("accounts.step_up.refused", "denied", str(made.pk))


@pytest.mark.parametrize("other", [{"action": "trading.halt"}, {"object_id": "another"}])
def test_a_grant_for_one_thing_does_not_allow_another(other: dict[str, str]) -> None:
    who = make_person("ada", "operator")
    made = granted(who)
    with pytest.raises(StepUpRequired, match=r"given for trading\.resume on paper"), transaction.atomic():
        consume_grant(who.context(), grant_id=made.pk, **{**RESUME, **other})


def test_a_grant_belongs_to_its_session_and_person() -> None:
    ada, eve = make_person("ada", "operator"), make_person("eve", "operator")
    made = granted(ada)
    with pytest.raises(StepUpRequired, match="another session"), transaction.atomic():
        consume_grant(ada.context("elsewhere"), grant_id=made.pk, **RESUME)
    with pytest.raises(StepUpRequired, match="needs a fresh code"), transaction.atomic():
        consume_grant(eve.context(), grant_id=made.pk, **RESUME)


def test_a_grant_grows_old() -> None:
    who = make_person("ada", "operator")
    made = granted(who)
    StepUpGrant.objects.update(expires_at=made.created_at + timedelta(seconds=0))
    with pytest.raises(StepUpRequired, match="too old"), transaction.atomic():
        consume_grant(who.context(), grant_id=made.pk, **RESUME)


@pytest.mark.parametrize("grant_id", [None, "", "not-a-uuid", uuid4()])
def test_without_a_grant_there_is_no_step_up(grant_id: object) -> None:
    who = make_person("ada", "operator")
    with pytest.raises(StepUpRequired, match="needs a fresh code"), transaction.atomic():
        consume_grant(who.context(), grant_id=grant_id, **RESUME)  # type: ignore[arg-type]  # what a client may send


def test_a_used_or_wrong_code_buys_nothing() -> None:
    who = make_person("ada", "operator")
    code = who.fresh_code()
    grant(who.context(), code=code, **RESUME)
    with pytest.raises(WrongCode, match="used already"):
        grant(who.context(), code=code, **RESUME)
    with pytest.raises(WrongCode, match="not right"):
        grant(who.context(), code="x", **RESUME)
    with pytest.raises(Throttled):
        grant(who.context(), code=who.code(1), **RESUME)
    assert StepUpGrant.objects.count() == 1


def test_only_known_actions_and_people_in_sessions_can_step_up() -> None:
    who = make_person("ada", "operator")
    with pytest.raises(Invalid, match="no action"):
        grant(who.context(), code=who.code(), action="coffee", object_id="1")
    with pytest.raises(StepUpRequired):
        grant(who.context(session=""), code=who.code(), **RESUME)
    with pytest.raises(StepUpRequired):
        grant(service_context("execution"), code=who.code(), **RESUME)


@pytest.mark.django_db(transaction=True)
def test_one_grant_serves_one_of_two_simultaneous_actions() -> None:
    who = make_person("ada", "operator")
    made = granted(who)
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def run() -> None:
        try:
            start.wait()
            with transaction.atomic():
                consume_grant(who.context(), grant_id=made.pk, **RESUME)
            outcomes.append("done")
        except StepUpRequired:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "refused"]


def test_a_grant_over_rest() -> None:
    who = make_person("ada", "operator")
    browser = signed_in(who)
    answer = browser.send("/api/v1/auth/step-up/", {"code": who.fresh_code(), **RESUME})
    assert answer.status_code == 201
    row = UserSession.objects.get()
    assert StepUpGrant.objects.get(pk=answer.json()["grant"]).session == str(row.pk)


def test_a_recovery_code_works_once_however_it_is_typed() -> None:
    who = make_person("ada")
    typed = who.recovery_codes[0].lower().replace("-", " ")
    assert use_recovery_code(who.context(), user=who.user, code=typed) == 9
    with pytest.raises(WrongCode, match="used already"):
        use_recovery_code(who.context(), user=who.user, code=who.recovery_codes[0])
    with pytest.raises(Throttled):
        use_recovery_code(who.context(), user=who.user, code=who.recovery_codes[1])


@pytest.mark.django_db(transaction=True)
def test_one_recovery_code_serves_one_of_two_simultaneous_requests() -> None:
    who = make_person("ada")
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def run() -> None:
        try:
            start.wait()
            use_recovery_code(who.context(), user=who.user, code=who.recovery_codes[0])
            outcomes.append("accepted")
        except (WrongCode, Throttled):
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["accepted", "refused"]


def test_anothers_recovery_code_is_worth_nothing() -> None:
    ada, eve = make_person("ada"), make_person("eve")
    with pytest.raises(WrongCode):
        use_recovery_code(eve.context(), user=eve.user, code=ada.recovery_codes[0])


def test_a_recovery_code_lets_in_only_to_enrol_and_enrolling_ends_everything_old() -> None:
    who = make_person("ada", "operator")
    old_browser = signed_in(who)
    browser = Browser()
    browser.send("/api/v1/auth/sign-in/", {"username": "ada", "password": PASSWORD})
    answer = browser.send("/api/v1/auth/recovery/", {"code": who.recovery_codes[3]})
    assert answer.json()["state"] == "enrol"
    assert browser.get("/api/v1/auth/sessions/").status_code == 401
    assert browser.send("/api/v1/auth/second-factor/", {"code": who.fresh_code()}).status_code == 401
    begun = browser.send("/api/v1/auth/totp/", {"name": "New phone"}).json()
    assert begun["qr_svg"].startswith("<svg")
    key = base64.b32decode(parse_qs(urlsplit(begun["uri"]).query)["secret"][0])
    confirm = {"device_id": begun["device_id"], "code": f"{totp(key):06d}"}
    done = browser.send("/api/v1/auth/totp/confirm/", confirm)
    assert done.json()["state"] == "signed_in"
    assert done.json()["user"]["recovery_codes_left"] == 9
    assert old_browser.get("/api/v1/auth/sessions/").status_code == 401
    assert TotpDevice.objects.get(user=who.user).name == "New phone"


def test_the_old_authenticator_works_until_the_new_one_is_confirmed() -> None:
    who = make_person("ada")
    begun = begin_totp(who.context(), user=who.user)
    assert TotpDevice.objects.get(user=who.user, confirmed=True).verify_token(who.code())
    with pytest.raises(WrongCode):
        confirm_totp(who.context(), user=who.user, device_id=begun.device_id, code="not it")
    assert TotpDevice.objects.filter(user=who.user, confirmed=True).exists()


def test_only_ones_own_begun_authenticator_can_be_confirmed() -> None:
    ada, eve = make_person("ada"), make_person("eve")
    begun = begin_totp(ada.context(), user=ada.user)
    with pytest.raises(NotFound):
        confirm_totp(eve.context(), user=eve.user, device_id=begun.device_id, code=eve.code())
    present = TotpDevice.objects.get(user=ada.user, confirmed=True)
    with pytest.raises(Conflict):
        confirm_totp(ada.context(), user=ada.user, device_id=present.pk, code=ada.code())


def test_changing_the_authenticator_while_signed_in_needs_a_code_of_the_present_one() -> None:
    who = make_person("ada")
    browser = signed_in(who)
    assert browser.send("/api/v1/auth/totp/", {}).status_code == 400
    assert browser.send("/api/v1/auth/totp/", {"code": who.fresh_code()}).status_code == 200


def test_a_new_set_of_recovery_codes_ends_the_old_one() -> None:
    who = make_person("ada")
    browser = signed_in(who)
    fresh = browser.send("/api/v1/auth/recovery-codes/", {"code": who.fresh_code()}).json()["codes"]
    assert len(set(fresh)) == 10
    assert RecoveryCode.objects.count() == 10
    RecoveryCodeDevice.objects.update(throttling_failure_count=0)
    with pytest.raises(WrongCode):
        use_recovery_code(who.context(), user=who.user, code=who.recovery_codes[0])


def test_a_right_code_sent_again_is_refused_but_counts_as_no_miss() -> None:
    who = make_person("ada")
    code = who.fresh_code()
    grant(who.context(), code=code, **RESUME)
    for _ in range(4):
        with pytest.raises(WrongCode, match="used already"):
            grant(who.context(), code=code, **RESUME)
    assert TotpDevice.objects.get(user=who.user).throttling_failure_count == 0


def test_a_wrong_code_for_a_new_authenticator_is_recorded() -> None:
    who = make_person("ada")
    begun = begin_totp(who.context(), user=who.user)
    with pytest.raises(WrongCode):
        confirm_totp(who.context(), user=who.user, device_id=begun.device_id, code="x")
    assert AuditEntry.objects.latest("seq").event == "accounts.totp.refused"
