"""Reports on a period: made once, and made again byte for byte from their query and their checkpoint.

Nothing in a report depends on when it is rendered: no present time, and no entry after its checkpoint.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse
from django.template.loader import render_to_string

from apps.audit.domain.canonical import canonical_bytes, utc_text
from apps.audit.domain.export import Export, ExportRow, query_hash, write_lines
from apps.audit.domain.merkle import consistency_proof, subset_proof
from apps.audit.models import AuditEntry, AuditReport
from apps.audit.selectors import clean_filters, filtered
from apps.audit.services.checkpoints import as_signed, publish_checkpoint
from apps.audit.services.keys import signing_key
from apps.audit.services.writer import record
from apps.core.access import require
from apps.core.context import Context
from apps.core.errors import Conflict, Invalid, NotFound

FORMATS: Final = {"html": "text/html; charset=utf-8", "csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}
MOST_ENTRIES: Final = 200_000
"""A larger period is cut by its maker: a report is read by people."""
CSV_COLUMNS: Final = (
    *("seq", "exception", "at", "event", "code", "outcome", "actor_kind", "actor_id", "actor_name", "roles", "mfa"),
    *("evidence", "session", "ip", "origin", "request_id", "trace_id", "object_type", "object_id"),
    *("reason", "before", "after", "prev_hash", "leaf_hash"),
)


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A report and its three forms."""

    report: AuditReport
    html: bytes
    csv: bytes
    jsonl: bytes

    def form(self, name: str) -> bytes:
        return {"html": self.html, "csv": self.csv, "jsonl": self.jsonl}[name]

    def digests(self) -> dict[str, str]:
        return {name: hashlib.sha256(self.form(name)).hexdigest() for name in FORMATS}


def build_report(ctx: Context, *, start: datetime, end: datetime, filters: Mapping[str, Any]) -> Rendered:
    """Make a report on [start, end) with a fresh checkpoint as its anchor; recorded as an export.

    Needs ``audit.export``. Raises Invalid for an empty or naive period, unknown filters or too many entries.
    """
    require(ctx, "audit.export", object_type="audit", object_id="report")
    if start.tzinfo is None or end.tzinfo is None or start >= end:
        raise Invalid(f"expected aware times with start before end, was {start} to {end}", field="start")
    wanted = clean_filters(filters)
    anchor = publish_checkpoint(ctx)
    if anchor is None:
        raise Conflict("the trail is empty; there is nothing to report on")
    before = AuditReport.objects.select_related("checkpoint").order_by("-checkpoint__size").first()
    query = _query(start, end, wanted)
    report = AuditReport(
        created_at=ctx.now(),
        created_by=ctx.actor.name[:150],
        start=start,
        end=end,
        filters=wanted,
        checkpoint=anchor,
        previous=before.checkpoint if before else None,
        query_hash=query_hash(query),
    )
    export = _export(report)
    report.entries, report.exceptions = len(export.rows), len(export.exceptions)
    rendered = _render(report, export)
    report.digests = rendered.digests()
    with transaction.atomic():
        report.save(force_insert=True)
        _record(ctx, "audit.report.created", report)
    return rendered


def render_report(ctx: Context, *, report_id: UUID | str, form: str) -> tuple[AuditReport, bytes]:
    """A report made again, in one form; the download is recorded.

    Needs ``audit.export``. Raises NotFound, Invalid for an unknown form, and Conflict when the bytes differ from
    those of the first time: then entries were altered, or this release draws reports differently.
    """
    require(ctx, "audit.export", object_type="audit", object_id=str(report_id))
    if form not in FORMATS:
        raise Invalid(f"expected a form of {', '.join(FORMATS)}, was {form!r}", field="form")
    report = AuditReport.objects.select_related("checkpoint", "previous").filter(pk=report_id).first()
    if report is None:
        raise NotFound(f"no report {report_id}")
    content = _render(report, _export(report)).form(form)
    if hashlib.sha256(content).hexdigest() != report.digests[form]:
        raise Conflict(f"report {report_id} does not come out as it did at first; verify the trail", form=form)
    with transaction.atomic():
        _record(ctx, "audit.report.downloaded", report, form=form)
    return report, content


def attachment(report: AuditReport, content: bytes, *, form: str) -> HttpResponse:
    """The bytes as a download."""
    name = f"gekko-audit-{report.start:%Y%m%dT%H%M%SZ}-{report.end:%Y%m%dT%H%M%SZ}.{form}"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-SHA256": report.digests[form],
    }
    return HttpResponse(content, content_type=FORMATS[form], headers=headers)


def _record(ctx: Context, event: str, report: AuditReport, **more: str) -> None:
    query = _query(report.start, report.end, report.filters)
    after = {"query": query, "entries": report.entries, "checkpoint": report.checkpoint.size, **more}
    record(ctx, event=event, object_type="report", object_id=str(report.pk), after=after)


def _query(start: datetime, end: datetime, filters: dict[str, str]) -> dict[str, Any]:
    return {"start": utc_text(start), "end": utc_text(end), "filters": filters}


def _export(report: AuditReport) -> Export:
    anchor = as_signed(report.checkpoint)
    size = anchor.statement.size
    rows = filtered(report.filters, start=report.start, end=report.end).filter(seq__lte=size).order_by("seq")
    found = list(rows[: MOST_ENTRIES + 1])
    if len(found) > MOST_ENTRIES:
        raise Invalid(f"more than {MOST_ENTRIES} entries; choose a shorter period or a filter", field="end")
    leaves = _leaves(size)
    previous = as_signed(report.previous) if report.previous is not None else None
    return Export(
        query=_query(report.start, report.end, report.filters),
        rows=[_row(row) for row in found],
        exceptions=[row.seq for row in found if row.outcome != "success"],
        checkpoint=anchor,
        public_key=signing_key().public_key(),
        previous=previous,
        subset=subset_proof(leaves, [row.seq - 1 for row in found]),
        consistency=consistency_proof(leaves, previous.statement.size) if previous else [],
    )


def _leaves(size: int) -> list[bytes]:
    stored = AuditEntry.objects.filter(seq__lte=size).order_by("seq").values_list("leaf_hash", flat=True)
    return [bytes(leaf) for leaf in stored.iterator(10_000)]


def _row(row: AuditEntry) -> ExportRow:
    return ExportRow(columns=row.entry().columns(), prev_hash=bytes(row.prev_hash), leaf_hash=bytes(row.leaf_hash))


def _render(report: AuditReport, export: Export) -> Rendered:
    return Rendered(
        report=report,
        html=_html(export),
        csv=_csv(export),
        jsonl=b"".join(write_lines(export)),
    )


def _csv(export: Export) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    for row in export.rows:
        values = {
            **row.columns,
            "exception": "yes" if row.columns["outcome"] != "success" else "",
            "roles": " ".join(row.columns["roles"]),
            "before": _json_cell(row.columns["before"]),
            "after": _json_cell(row.columns["after"]),
            "prev_hash": row.prev_hash.hex(),
            "leaf_hash": row.leaf_hash.hex(),
        }
        writer.writerow([_cell(values[name]) for name in CSV_COLUMNS])
    return out.getvalue().encode()


def _json_cell(value: dict[str, Any] | None) -> str:
    return "" if value is None else canonical_bytes(value).decode()


def _cell(value: object) -> str:
    """Spreadsheets run cells that begin like a formula; an apostrophe makes them text."""
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _html(export: Export) -> bytes:
    rows = [
        {
            **row.columns,
            "before": _json_cell(row.columns["before"]),
            "after": _json_cell(row.columns["after"]),
            "leaf_hash": row.leaf_hash.hex(),
        }
        for row in export.rows
    ]
    header = export.header()
    page = render_to_string(
        "audit/report.html",
        {
            "header": header,
            "counts": header["counts"],
            "exceptions": [row for row in rows if row["outcome"] != "success"],
            "rows": rows,
            "consistency": [node.hex() for node in export.consistency],
        },
    )
    return page.encode()
