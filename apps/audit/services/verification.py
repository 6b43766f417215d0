"""Verifying the whole trail, and telling about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction

from apps.audit.domain.canonical import Entry
from apps.audit.domain.verification import Head, Result, Row, Verifier, compare_copies, overdue
from apps.audit.models import AuditEntry, Checkpoint, VerificationRun
from apps.audit.services.checkpoints import as_signed, read_outside
from apps.audit.services.keys import trusted_keys
from apps.audit.services.writer import record
from apps.core.access import require
from apps.core.context import Context
from apps.core.outbox import publish

BATCH: Final = 2000
_COLUMNS: Final = tuple(Entry.__dataclass_fields__)


def verify(ctx: Context) -> VerificationRun:
    """Recompute the trail, keep the run, record it and publish it; incidents listen for the failed kind.

    Needs ``audit.verify``. Never repairs anything.
    """
    require(ctx, "audit.verify", object_type="audit", object_id="trail")
    started = ctx.now()
    result = check_trail(started)
    with transaction.atomic():
        run = VerificationRun.objects.create(
            started_at=started,
            finished_at=ctx.now(),
            ok=result.ok,
            size=result.size,
            root=result.root.hex(),
            checkpoints=result.checkpoints,
            findings=[finding.as_json() for finding in (*result.findings, *result.warnings)],
            actor_name=ctx.actor.name[:150],
        )
        data = public_run(run)
        publish(ctx, topic="audit", kind="verification.completed", key=str(run.pk), data=data)
        if not result.ok:
            publish(ctx, topic="audit", kind="audit.verification_failed", key=str(run.pk), data=data)
        record(
            ctx,
            event="audit.trail.verified" if result.ok else "audit.trail.broken",
            object_type="audit",
            object_id="trail",
            after={"run": run.pk, "size": run.size, "root": run.root, "findings": run.findings},
            outcome="success" if result.ok else "failure",
        )
    return run


def public_run(run: VerificationRun) -> dict[str, Any]:
    """The run as clients see it."""
    return {
        "id": str(run.pk),
        "version": 1,
        "ok": run.ok,
        "started_at": run.started_at.isoformat(),
        "finished_at": run.finished_at.isoformat(),
        "size": run.size,
        "root": run.root,
        "checkpoints": run.checkpoints,
        "findings": run.findings,
        "by": run.actor_name,
    }


def check_trail(now: datetime | None = None) -> Result:
    """Read and check everything; writes nothing. With ``now``, a checkpoint that is late is a warning.

    The file is read before the table of checkpoints and that before the head, as each may only run ahead of the
    one read before it while others append.
    """
    outside, damaged = read_outside()
    inside = [as_signed(row) for row in Checkpoint.objects.order_by("size")]
    head = read_head()
    verifier = Verifier([*inside, *outside], trusted_keys())
    for row in stored_rows(head.size if head is not None else None):
        if not verifier.feed(row):
            break
    result = verifier.finish(head)
    result.findings.extend([*damaged, *compare_copies(inside, outside)])
    if now is not None:
        signed = inside[-1].statement.size if inside else 0
        waiting = AuditEntry.objects.filter(seq=signed + 1).values_list("at", flat=True).first()
        result.warnings.extend(overdue(signed, waiting, now))
    return result


def read_head() -> Head | None:
    """Head and highest ``seq`` in one statement, so that both are of one snapshot."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT size, chain_hash, (SELECT coalesce(max(seq), 0) FROM audit_auditentry)"
            " FROM audit_audithead WHERE id = 1"
        )
        found = cursor.fetchone()
    return Head(size=found[0], chain_hash=bytes(found[1]), last_seq=found[2]) if found else None


def stored_rows(upto: int | None) -> Iterator[Row]:
    """Rows in order of ``seq``, read in batches; all of them when ``upto`` is None."""
    rows = AuditEntry.objects.order_by("seq")
    if upto is not None:
        rows = rows.filter(seq__lte=upto)
    for *columns, prev_hash, leaf_hash in rows.values_list(*_COLUMNS, "prev_hash", "leaf_hash").iterator(BATCH):
        named = dict(zip(_COLUMNS, columns, strict=True))
        named["request_id"] = str(named["request_id"])
        yield Row(entry=Entry(**named), prev_hash=bytes(prev_hash), leaf_hash=bytes(leaf_hash))
