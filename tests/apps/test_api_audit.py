"""The audit endpoints: search, verify, report, download."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from apps.audit.models import AuditEntry
from tests.factories.people import Browser, make_person, signed_in

pytestmark = pytest.mark.django_db

ENTRIES = "/api/v1/audit/entries/"


@pytest.fixture
def auditor() -> Browser:
    return signed_in(make_person("aud", "auditor"))


def test_entries_are_searched_and_paged(auditor: Browser) -> None:
    page = auditor.get(ENTRIES, {"limit": 2}).json()
    assert len(page["results"]) == 2
    seqs = [row["seq"] for row in page["results"]]
    while page["next"]:
        page = auditor.get(page["next"]).json()
        seqs += [row["seq"] for row in page["results"]]
    assert seqs == list(range(AuditEntry.objects.count(), 0, -1))


def test_each_filter_narrows(auditor: Browser) -> None:
    newest = auditor.get(ENTRIES).json()["results"][0]
    assert newest["event"] == "accounts.sign_in.succeeded"
    for name, value in {
        "actor": "aud",
        "event": "accounts.sign_in.*",
        "object_type": "session",
        "object_id": newest["object_id"],
        "outcome": "success",
        "request_id": newest["request_id"],
        "start": newest["at"],
        "end": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(),
    }.items():
        found = auditor.get(f"{ENTRIES}?{name}={quote(value)}").json()["results"]
        assert newest["seq"] in [row["seq"] for row in found], name
    assert auditor.get(ENTRIES, {"outcome": "failure"}).json()["results"] == []


@pytest.mark.parametrize(
    ("name", "value"), [("start", "yesterday"), ("end", "2026-01-05T09:00:00"), ("request_id", "1")]
)
def test_a_filter_that_cannot_be_read_is_a_problem(auditor: Browser, name: str, value: str) -> None:
    answer = auditor.get(ENTRIES, {name: value})
    assert (answer.status_code, answer.json()["code"], answer.json()["fields"]["field"]) == (400, "invalid", name)


def test_one_entry_by_number(auditor: Browser) -> None:
    assert auditor.get(f"{ENTRIES}1/").json()["seq"] == 1
    assert auditor.get(f"{ENTRIES}999999/").status_code == 404


@pytest.mark.parametrize("path", ["entries/", "checkpoints/", "verify/", "reports/"])
def test_a_viewer_sees_no_audit_and_the_refusal_is_recorded(path: str) -> None:
    browser = signed_in(make_person("vic", "viewer"))
    answer = browser.get(f"/api/v1/audit/{path}")
    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/problem+json"
    row = AuditEntry.objects.latest("seq")
    assert (row.event, row.outcome, row.actor_name) == ("accounts.permission.denied", "denied", "vic")
    assert str(row.request_id) == answer.json()["request_id"] == answer["X-Request-ID"]


def test_verify_report_and_download(auditor: Browser) -> None:
    run = auditor.send("/api/v1/audit/verify/")
    assert (run.status_code, run.json()["ok"], run.json()["findings"]) == (201, True, [])
    period = {"start": "2020-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}
    made = auditor.send("/api/v1/audit/reports/", period)
    assert made.status_code == 201, made.content
    for form, media in (("html", "text/html"), ("csv", "text/csv"), ("jsonl", "application/jsonl")):
        first, again = (auditor.get(made.json()["downloads"][form]) for _ in range(2))
        assert first.status_code == 200
        assert first["Content-Type"].startswith(media)
        assert "attachment" in first["Content-Disposition"]
        assert first.content == again.content
        assert first["X-Content-SHA256"] == made.json()["digests"][form]
    assert auditor.get("/api/v1/audit/reports/").json()["results"][0]["id"] == made.json()["id"]
    assert auditor.get("/api/v1/audit/checkpoints/").json()["results"][0]["size"] == made.json()["checkpoint_size"]
    assert auditor.get(made.json()["downloads"]["csv"].replace("/csv/", "/pdf/")).status_code == 400


def test_the_same_key_verifies_once(auditor: Browser) -> None:
    first = auditor.send("/api/v1/audit/verify/", key="one-verification")
    again = auditor.send("/api/v1/audit/verify/", key="one-verification")
    assert again.json() == first.json()
    assert again["Idempotency-Replayed"] == "true"
    assert len(auditor.get("/api/v1/audit/verify/").json()["results"]) == 1
