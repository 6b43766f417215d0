"""API tokens: hashed, scoped, expiring, revocable."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.accounts import services
from apps.accounts.models import ApiToken
from apps.audit.models import AuditEntry
from apps.core.errors import Invalid, PermissionRefused
from tests.factories.people import Person, make_person, signed_in

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def issue(who: Person, *scopes: str) -> str:
    _, value = services.issue_token(who.context(), name="robot", scopes=scopes or ("audit.view",), lifetime=DAY)
    return value


def get(value: str, path: str = "/api/v1/audit/entries/") -> Any:
    return Client().get(path, headers={"Authorization": f"Token {value}"})


def test_a_token_reads_what_its_scopes_and_its_owners_roles_allow() -> None:
    who = make_person("aud", "auditor")
    value = issue(who)
    assert get(value).status_code == 200
    assert get(value, "/api/v1/audit/reports/").status_code == 403
    row = AuditEntry.objects.latest("seq")
    assert (row.actor_kind, row.actor_name) == ("token", "aud (robot)")
    services.assign_role(make_person("root", "administrator").context(), user_id=who.user.pk, role="viewer")
    services.remove_role(make_person("root2", "administrator").context(), user_id=who.user.pk, role="auditor")
    assert get(value).status_code == 403


def test_only_the_hash_is_kept() -> None:
    value = issue(make_person("aud", "auditor"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM accounts_apitoken t")
        assert value not in cursor.fetchone()[0]
        cursor.execute("SELECT string_agg(t::text, ' ') FROM audit_auditentry t")
        assert value not in cursor.fetchone()[0]


def test_an_expired_revoked_or_orphaned_token_is_worth_nothing() -> None:
    who = make_person("aud", "auditor")
    expired, revoked, orphaned = issue(who), issue(who), issue(who)
    tokens = {value: ApiToken.objects.get(token_key=value[:15]) for value in (expired, revoked)}
    ApiToken.objects.filter(pk=tokens[expired].pk).update(expiry=tokens[expired].created_at)
    services.revoke_token(who.context(), token_id=tokens[revoked].public_id)
    assert [get(value).status_code for value in (expired, revoked, orphaned)] == [401, 401, 200]
    who.user.is_active = False
    who.user.save()
    assert get(orphaned).status_code == 401


@pytest.mark.parametrize("value", ["", "x", "gekko_" + "0" * 64, "a b", "gekko_\xff"])
def test_what_is_no_token_is_refused(value: str) -> None:
    answer = get(value)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"]
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("name", "scopes", "lifetime"),
    [
        ("", ["audit.view"], DAY),
        ("robot", [], DAY),
        ("robot", ["trading.resume"], DAY),
        ("robot", ["no.such"], DAY),
        ("robot", ["tokens.manage"], DAY),
        ("robot", ["audit.view"], timedelta(0)),
        ("robot", ["audit.view"], timedelta(days=366)),
    ],
)
def test_a_token_that_asks_too_much_is_refused(name: str, scopes: list[str], lifetime: timedelta) -> None:
    with pytest.raises(Invalid):
        services.issue_token(make_person("aud", "auditor").context(), name=name, scopes=scopes, lifetime=lifetime)


def test_a_viewer_has_no_tokens_and_anothers_token_is_out_of_reach() -> None:
    with pytest.raises(PermissionRefused):
        issue(make_person("vic", "viewer"), "trading.view")
    issue(make_person("aud", "auditor"))
    with pytest.raises(PermissionRefused):
        services.revoke_token(make_person("op", "operator").context(), token_id=ApiToken.objects.get().public_id)


def test_a_token_cannot_step_up_or_issue_tokens() -> None:
    who = make_person("op", "operator")
    value = issue(who, "trading.resume")
    headers = {"Authorization": f"Token {value}", "Idempotency-Key": "12345678"}
    body = {"code": who.fresh_code(), "action": "trading.resume", "object_id": "paper"}
    answer = Client().post("/api/v1/auth/step-up/", body, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "step_up_required")
    child = {"name": "child", "scopes": ["trading.view"]}
    answer = Client().post("/api/v1/auth/tokens/", child, content_type="application/json", headers=headers)
    assert answer.status_code == 403


def test_tokens_over_rest_are_shown_once_even_to_a_repeat_by_the_same_key() -> None:
    browser = signed_in(make_person("aud", "auditor"))
    body = {"name": "ci", "scopes": ["audit.view"], "lifetime_days": 7}
    made = browser.send("/api/v1/auth/tokens/", body, key="issue-once")
    again = browser.send("/api/v1/auth/tokens/", body, key="issue-once")
    assert made.status_code == 201, made.content
    assert again.json() == made.json()
    assert ApiToken.objects.count() == 1
    row = browser.get("/api/v1/auth/tokens/").json()["results"][0]
    assert "token" not in row
    assert browser.send(f"/api/v1/auth/tokens/{row['id']}/", method="DELETE").status_code == 204
    assert get(made.json()["token"]).status_code == 401
