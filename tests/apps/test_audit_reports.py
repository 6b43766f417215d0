"""Reports: the same bytes each time, the same rows in each form, and a file that proves itself."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import transaction

from apps.audit.domain.checkpoints import raw_public
from apps.audit.domain.export import verify_export
from apps.audit.models import AuditEntry, AuditReport
from apps.audit.services import build_report, record, record_denied, render_report
from apps.audit.services.keys import signing_key
from apps.audit.services.reports import Rendered
from apps.core.clock import FrozenClock
from apps.core.context import Context, service_context
from apps.core.errors import Conflict, Invalid, PermissionRefused
from tests.factories.people import make_person
from tests.support.audit import tampering

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
END = START + timedelta(hours=1)


def setup_context() -> Context:
    return service_context("bootstrap", clock=FrozenClock(END + timedelta(days=1)))


@pytest.fixture
def entries() -> None:
    clock = FrozenClock(START)
    ctx = service_context("test", clock=clock)
    for index in range(9):
        clock.advance(minutes=1)
        with transaction.atomic():
            record(
                ctx.because("=SUM(A1)"),
                event="accounts.user.created",
                object_type="user",
                object_id=str(index),
                after={"n": index, "<b>": "&"},
            )
    record_denied(ctx, event="accounts.permission.denied", object_type="user", object_id="9", reason="no")
    clock.advance(days=2)
    with transaction.atomic():
        record(ctx, event="accounts.user.created", object_type="user", object_id="later")


def build(**filters: str) -> Rendered:
    return build_report(setup_context(), start=START, end=END, filters=filters)


def saved(content: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "report.jsonl"
    path.write_bytes(content)
    return path


def test_the_three_forms_agree_row_by_row(entries: None) -> None:
    made = build()
    lines = [json.loads(line) for line in made.jsonl.splitlines()]
    rows = list(csv.DictReader(io.StringIO(made.csv.decode())))
    assert [line["columns"]["seq"] for line in lines[1:-1]] == [int(row["seq"]) for row in rows] == list(range(1, 11))
    assert [row["leaf_hash"] for row in rows] == [line["leaf_hash"] for line in lines[1:-1]]
    assert all(row["leaf_hash"] in made.html.decode() for row in rows)
    assert lines[0]["counts"]["by_outcome"] == {"denied": 1, "success": 9}
    assert lines[0]["exceptions"] == [10]
    assert [row["seq"] for row in rows if row["exception"]] == ["10"]


def test_html_lists_exceptions_first_and_escapes_what_people_typed(entries: None) -> None:
    page = build().html.decode()
    assert page.index("Exceptions") < page.index("accounts.permission.denied") < page.index("All entries")
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


def test_cells_that_spreadsheets_would_run_are_text(entries: None) -> None:
    rows = list(csv.DictReader(io.StringIO(build().csv.decode())))
    assert rows[0]["reason"] == "'=SUM(A1)"


def test_a_report_is_made_again_byte_for_byte(entries: None) -> None:
    made = build()
    with transaction.atomic():
        record(service_context("test"), event="accounts.user.created", object_type="user", object_id="after")
    for form in ("html", "csv", "jsonl"):
        report, content = render_report(setup_context(), report_id=made.report.pk, form=form)
        assert content == made.form(form)
        assert report == made.report


def test_two_reports_of_one_query_hash_the_same_query(entries: None) -> None:
    assert build().report.query_hash == build().report.query_hash
    assert build(outcome="denied").report.query_hash != build().report.query_hash


def test_filters_choose_rows_and_keep_the_proof(entries: None, tmp_path: Path) -> None:
    made = build(event="accounts.permission.*")
    assert (made.report.entries, made.report.exceptions) == (1, 1)
    assert verify_export(saved(made.jsonl, tmp_path)).ok


def test_a_period_without_entries_still_proves_its_log(entries: None, tmp_path: Path) -> None:
    made = build_report(setup_context(), start=END, end=END + timedelta(hours=1), filters={})
    assert made.report.entries == 0
    assert verify_export(saved(made.jsonl, tmp_path)).ok


def test_the_second_report_proves_that_it_continues_the_first(entries: None, tmp_path: Path) -> None:
    first, second = build(), build()
    assert second.report.previous == first.report.checkpoint
    header = json.loads(second.jsonl.splitlines()[0])
    assert header["previous"]["size"] == first.report.checkpoint.size
    verdict = verify_export(saved(second.jsonl, tmp_path), trusted_key=raw_public(signing_key().public_key()))
    assert verdict.ok
    assert verdict.root == header["checkpoint"]["root"]


def test_making_and_downloading_are_recorded(entries: None) -> None:
    made = build()
    render_report(setup_context(), report_id=made.report.pk, form="csv")
    rows = AuditEntry.objects.order_by("-seq")[:2]
    assert [row.event for row in rows] == ["audit.report.downloaded", "audit.report.created"]
    assert rows[0].after is not None
    assert rows[0].after["form"] == "csv"


def test_a_report_over_altered_rows_is_refused(entries: None) -> None:
    made = build()
    with tampering():
        AuditEntry.objects.filter(seq=3).update(reason="another")
    with pytest.raises(Conflict, match="verify the trail"):
        render_report(setup_context(), report_id=made.report.pk, form="html")


def test_every_changed_byte_of_an_export_is_found(entries: None, tmp_path: Path) -> None:
    build()
    good = build().jsonl
    assert verify_export(saved(good, tmp_path)).ok
    for place in range(0, len(good), 37):
        changed = bytearray(good)
        changed[place] ^= 0x01
        assert not verify_export(saved(bytes(changed), tmp_path)).ok, f"byte {place} of {len(good)}"


def drop_line(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], *lines[5:]]


def swap_lines(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[4], lines[3], *lines[5:]]


def cut_tail(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


def repeat_line(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], lines[3], *lines[4:]]


@pytest.mark.parametrize("change", [drop_line, swap_lines, cut_tail, repeat_line])
def test_lines_that_go_move_or_repeat_are_found_even_with_a_fitting_digest(
    entries: None, tmp_path: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    lines = change(build().jsonl.splitlines(keepends=True))
    last = json.loads(lines[-1])
    if last["type"] == "proof":
        last["digest"] = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
        lines[-1] = json.dumps(last, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert not verify_export(saved(b"".join(lines), tmp_path)).ok


def test_another_signer_is_found(entries: None, tmp_path: Path) -> None:
    verdict = verify_export(saved(build().jsonl, tmp_path), trusted_key=bytes(32))
    assert verdict.faults == [f"signed with another key than the trusted one: {verdict.key_id}"]


@pytest.mark.parametrize(
    "content", [b"", b"not json\n", b"{}\n{}\n", b'{"type":"header"}\n{"type":"proof"}\n', b"[]\n[]\n"]
)
def test_other_files_are_called_unreadable(content: bytes, tmp_path: Path) -> None:
    assert "not a readable export" in verify_export(saved(content, tmp_path)).faults[0]


def test_only_auditors_export(entries: None) -> None:
    with pytest.raises(PermissionRefused):
        build_report(make_person("op", "operator").context(), start=START, end=END, filters={})
    assert AuditReport.objects.count() == 0
    assert build_report(make_person("aud", "auditor").context(), start=START, end=END, filters={}).report.entries == 10


@pytest.mark.parametrize(
    ("start", "end", "filters"),
    [
        (END, START, {}),
        (START.replace(tzinfo=None), END, {}),
        (START, END, {"colour": "red"}),
        (START, END, {"request_id": "x"}),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(start: datetime, end: datetime, filters: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        build_report(setup_context(), start=start, end=end, filters=filters)
