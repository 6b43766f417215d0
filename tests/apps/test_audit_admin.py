"""Django's admin: behind the second factor, read-only, and the place where reports are made."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.audit.models import AuditEntry, AuditReport
from tests.factories.people import Browser, make_person, signed_in

pytestmark = pytest.mark.django_db

REPORTS = "/admin/audit/auditreport/"


@pytest.fixture
def auditor() -> Browser:
    return signed_in(make_person("aud", "auditor"))


def test_a_password_alone_does_not_open_the_admin() -> None:
    who = make_person("aud", "auditor")
    client = Client()
    client.force_login(who.user)
    answer = client.get("/admin/")
    assert answer.status_code == 302
    assert "login" in answer["Location"]


def test_people_who_are_not_staff_stay_outside() -> None:
    who = make_person("aud", "auditor")
    who.user.is_staff = False
    who.user.save()
    assert signed_in(who).get("/admin/").status_code == 302


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        "/admin/audit/auditentry/",
        "/admin/audit/auditentry/1/change/",
        "/admin/audit/checkpoint/",
        "/admin/audit/verificationrun/",
        REPORTS,
        f"{REPORTS}make/",
        "/admin/accounts/user/",
        "/admin/accounts/roleassignment/",
        "/admin/accounts/usersession/",
        "/admin/accounts/apitoken/",
        "/admin/core/outboxmessage/",
    ],
)
def test_an_auditor_sees_the_records(auditor: Browser, path: str) -> None:
    assert auditor.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/admin/audit/auditentry/add/", "/admin/audit/auditentry/1/delete/"])
def test_nothing_can_be_added_or_removed(auditor: Browser, path: str) -> None:
    assert auditor.get(path).status_code == 403


def test_a_viewer_of_the_staff_sees_no_audit() -> None:
    browser = signed_in(make_person("vic", "viewer"))
    assert browser.get("/admin/audit/auditentry/").status_code == 403
    assert browser.get("/admin/accounts/user/").status_code == 403


def test_a_report_is_made_and_downloaded(auditor: Browser) -> None:
    token = {"csrfmiddlewaretoken": auditor.csrf()}
    wrong = auditor.post(f"{REPORTS}make/", {**token, "first_day": "2026-02-01", "last_day": "2026-01-01"})
    assert "lies before the first" in wrong.content.decode()
    made = auditor.post(f"{REPORTS}make/", {**token, "first_day": "2020-01-01", "last_day": "2100-01-01"})
    assert made.status_code == 302
    report = AuditReport.objects.get()
    listed = auditor.get(REPORTS).content.decode()
    for form in ("html", "csv", "jsonl"):
        path = f"{REPORTS}{report.pk}/{form}/"
        assert path in listed
        answer = auditor.get(path)
        assert answer["X-Content-SHA256"] == report.digests[form]
    assert AuditEntry.objects.latest("seq").event == "audit.report.downloaded"


def test_making_a_report_needs_the_permission() -> None:
    browser = signed_in(make_person("root", "administrator"))
    days = {"first_day": "2020-01-01", "last_day": "2100-01-01", "csrfmiddlewaretoken": browser.csrf()}
    answer = browser.post(f"{REPORTS}make/", days)
    assert "audit.export" in answer.content.decode()
    assert AuditReport.objects.count() == 0
