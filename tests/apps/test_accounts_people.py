"""People, roles, permissions, sessions, passwords."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.accounts import services
from apps.accounts.domain.roles import CAPABILITIES, Capability, Role, capabilities_of
from apps.accounts.models import User, UserSession
from apps.accounts.permissions import allowed, require
from apps.accounts.services.sessions import ABSOLUTE, IDLE
from apps.audit.models import AuditEntry
from apps.core.api.context import ANONYMOUS
from apps.core.context import Context, service_context
from apps.core.errors import Conflict, Invalid, NotAuthenticated, NotFound, PermissionRefused
from apps.core.models import OutboxMessage
from tests.factories.people import PASSWORD, Browser, make_person, signed_in

pytestmark = pytest.mark.django_db

SETUP = service_context("bootstrap")


def test_a_new_operator_has_all_that_is_shown_once() -> None:
    made = services.create_operator(SETUP, username="ada")
    assert made.user.check_password(made.password)
    assert made.otpauth_uri.startswith("otpauth://totp/Gekko%3Aada?secret=")
    assert len(set(made.recovery_codes)) == 10
    shown = f"{made!r} {list(AuditEntry.objects.values_list('after', 'before'))}"
    for secret in (made.password, made.otpauth_uri, *made.recovery_codes):
        assert secret not in shown


@pytest.mark.parametrize(
    ("name", "password"), [("", None), ("x" * 151, None), ("ada", "short"), ("ada", "password1234")]
)
def test_a_weak_start_is_refused(name: str, password: str | None) -> None:
    with pytest.raises(Invalid):
        services.create_operator(SETUP, username=name, password=password)
    assert User.objects.count() == 0


def test_a_taken_name_is_refused() -> None:
    make_person("ada")
    with pytest.raises(Conflict, match="taken"):
        services.create_operator(SETUP, username="ada")


def test_every_role_may_look_and_only_acting_roles_may_halt() -> None:
    for role in Role:
        assert Capability.TRADING_VIEW in CAPABILITIES[role]
        assert (Capability.TRADING_HALT in CAPABILITIES[role]) == (role not in (Role.VIEWER, Role.AUDITOR))
    assert capabilities_of(["no such role"]) == frozenset()


def test_no_role_but_the_administrators_manages_people_and_nobody_who_trades_exports() -> None:
    assert [role for role in Role if Capability.USERS_MANAGE in CAPABILITIES[role]] == [Role.ADMINISTRATOR]
    assert [role for role in Role if Capability.AUDIT_EXPORT in CAPABILITIES[role]] == [Role.AUDITOR]
    assert Capability.TRADING_RESUME not in CAPABILITIES[Role.ADMINISTRATOR]


def test_a_refusal_is_recorded_and_says_what_is_missing() -> None:
    who = make_person("vic", "viewer")
    with pytest.raises(PermissionRefused, match=r"trading\.halt"):
        require(who.context(), Capability.TRADING_HALT, object_type="venue", object_id="paper")
    row = AuditEntry.objects.latest("seq")
    assert (row.outcome, row.object_type, row.object_id) == ("denied", "venue", "paper")
    assert row.after == {"capability": "trading.halt"}


def test_nobody_is_told_to_sign_in() -> None:
    with pytest.raises(NotAuthenticated):
        require(Context(actor=ANONYMOUS), Capability.TRADING_VIEW, object_type="x", object_id="1")


def test_services_do_not_manage_people() -> None:
    assert allowed(service_context("execution"), Capability.TRADING_HALT)
    assert not allowed(service_context("execution"), Capability.USERS_MANAGE)
    assert allowed(SETUP, Capability.USERS_MANAGE)


def test_roles_are_given_and_taken_and_the_sockets_hear_of_it() -> None:
    admin, who = make_person("root", "administrator"), make_person("vic", "viewer")
    services.assign_role(admin.context(), user_id=who.user.pk, role="operator")
    services.assign_role(admin.context(), user_id=who.user.pk, role="operator")
    assert who.user.role_names() == ("operator", "viewer")
    services.remove_role(admin.context(), user_id=who.user.pk, role="viewer")
    assert who.user.role_names() == ("operator",)
    messages = OutboxMessage.objects.filter(topic="sessions", key=str(who.user.pk))
    assert [message.kind for message in messages] == ["session.roles_changed"] * 2
    with pytest.raises(NotFound):
        services.remove_role(admin.context(), user_id=who.user.pk, role="viewer")
    with pytest.raises(NotFound):
        services.assign_role(admin.context(), user_id=uuid4(), role="viewer")
    with pytest.raises(Invalid, match="expected a role"):
        services.assign_role(admin.context(), user_id=who.user.pk, role="king")


def test_the_last_administrator_stays() -> None:
    admin = make_person("root", "administrator")
    with pytest.raises(Conflict, match="last administrator"):
        services.remove_role(admin.context(), user_id=admin.user.pk, role=Role.ADMINISTRATOR)
    with pytest.raises(Conflict, match="last administrator"):
        services.disable_user(admin.context(), user_id=admin.user.pk)
    other = make_person("root2", "administrator")
    services.remove_role(other.context(), user_id=admin.user.pk, role=Role.ADMINISTRATOR)


def test_closing_an_account_ends_its_sessions_at_once() -> None:
    admin, who = make_person("root", "administrator"), make_person("vic")
    browser = signed_in(who)
    services.disable_user(admin.context(), user_id=who.user.pk)
    assert browser.get("/api/v1/auth/sessions/").status_code == 401
    assert OutboxMessage.objects.get(kind="session.revoked").key == str(who.user.pk)


def test_ones_sessions_are_listed_and_can_be_ended() -> None:
    who = make_person("ada")
    here, there = signed_in(who), signed_in(who)
    rows = here.get("/api/v1/auth/sessions/").json()["results"]
    assert [row["current"] for row in rows] == [False, True]
    assert {row["mfa"] for row in rows} == {"totp"}
    other = next(row["id"] for row in rows if not row["current"])
    assert here.send(f"/api/v1/auth/sessions/{other}/", method="DELETE").status_code == 204
    assert there.get("/api/v1/auth/sessions/").status_code == 401
    assert here.get("/api/v1/auth/sessions/").status_code == 200
    assert AuditEntry.objects.latest("seq").event == "accounts.session.revoked"


def test_anothers_session_can_be_ended_by_an_administrator_alone() -> None:
    who, eve, admin = make_person("ada"), make_person("eve"), make_person("root", "administrator")
    signed_in(who)
    row = UserSession.objects.get(user=who.user)
    with pytest.raises(PermissionRefused):
        services.revoke_session(eve.context(), session_id=row.pk)
    assert services.revoke_session(admin.context(), session_id=row.pk).end_reason == "revoked"


@pytest.mark.parametrize(
    ("field", "past"), [("last_seen_at", IDLE), ("expires_at", timedelta(0)), ("created_at", None)]
)
def test_idle_and_old_sessions_end(field: str, past: timedelta | None) -> None:
    browser = signed_in(make_person("ada"))
    row = UserSession.objects.get()
    assert row.expires_at - row.created_at == ABSOLUTE
    if past is None:
        assert browser.get("/api/v1/auth/sessions/").status_code == 200
        return
    UserSession.objects.update(**{field: row.last_seen_at - past - timedelta(seconds=1)})
    assert browser.get("/api/v1/auth/sessions/").status_code == 401
    assert AuditEntry.objects.latest("seq").event == "accounts.session.expired"


def test_a_password_change_keeps_this_session_and_ends_the_others() -> None:
    who = make_person("ada")
    here, there = signed_in(who), signed_in(who)
    new = {"old": PASSWORD, "new": "another good long phrase"}
    assert here.send("/api/v1/auth/password/", {**new, "old": "wrong"}).status_code == 400
    assert here.send("/api/v1/auth/password/", new).json()["state"] == "signed_in"
    assert here.get("/api/v1/auth/sessions/").status_code == 200
    assert there.get("/api/v1/auth/sessions/").status_code == 401
    assert Browser().send("/api/v1/auth/sign-in/", {"username": "ada", "password": PASSWORD}).status_code == 401


def test_people_over_rest() -> None:
    browser = signed_in(make_person("root", "administrator"))
    made = browser.send("/api/v1/users/", {"username": "new", "roles": ["viewer"]})
    assert made.status_code == 201, made.content
    assert len(made.json()["recovery_codes"]) == 10
    path = f"/api/v1/users/{made.json()['id']}/"
    assert browser.send(f"{path}assign-role/", {"role": "operator"}).json()["roles"] == ["operator", "viewer"]
    assert browser.send(f"{path}remove-role/", {"role": "viewer"}).json()["roles"] == ["operator"]
    assert browser.send(f"{path}disable/").json()["is_active"] is False
    assert [row["username"] for row in browser.get("/api/v1/users/").json()["results"]] == ["new", "root"]
    assert browser.get(path)["ETag"] == '"4"'
    assert signed_in(make_person("vic")).get("/api/v1/users/").status_code == 403


def test_wrong_present_passwords_are_recorded_and_have_to_wait() -> None:
    browser = signed_in(make_person("ada"))
    body = {"old": "wrong", "new": "another good long phrase"}
    codes = [browser.send("/api/v1/auth/password/", body).status_code for _ in range(8)]
    assert (codes[0], codes[-1]) == (400, 429)
    assert AuditEntry.objects.filter(event="accounts.sign_in.refused", outcome="denied").exists()
