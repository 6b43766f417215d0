"""The audit trail: entries that are only ever added, the head of their chain, and signed checkpoints of it.

Triggers in the database refuse UPDATE, DELETE and TRUNCATE on entries, checkpoints and reports, whoever asks.
"""

from __future__ import annotations

from django.db import models

from apps.audit.domain.canonical import Entry
from apps.core.ids import new_id


class AuditEntry(models.Model):
    """One thing that somebody did, or was refused. ``seq`` is gapless from 1."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=128)
    actor_name = models.CharField(max_length=150)
    roles = models.JSONField()
    mfa = models.CharField(max_length=16)
    evidence = models.CharField(max_length=64, blank=True)
    session = models.CharField(max_length=64, blank=True)
    ip = models.CharField(max_length=64, blank=True)
    origin = models.CharField(max_length=32, blank=True)
    request_id = models.UUIDField(db_index=True)
    trace_id = models.CharField(max_length=64, blank=True)
    event = models.CharField(max_length=96)
    code = models.CharField(max_length=16)
    object_type = models.CharField(max_length=64)
    object_id = models.CharField(max_length=128)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.TextField(blank=True)
    outcome = models.CharField(max_length=16)
    prev_hash = models.BinaryField(max_length=32)
    leaf_hash = models.BinaryField(max_length=32)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["at"], name="audit_at"),
            models.Index(fields=["actor_id", "-seq"], name="audit_actor"),
            models.Index(fields=["event", "-seq"], name="audit_event"),
            models.Index(fields=["object_type", "object_id", "-seq"], name="audit_object"),
            models.Index(fields=["-seq"], condition=~models.Q(outcome="success"), name="audit_exceptions"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.event} by {self.actor_name}"

    def entry(self) -> Entry:
        """The columns that the leaf hash covers."""
        return Entry(
            seq=self.seq,
            at=self.at,
            actor_kind=self.actor_kind,
            actor_id=self.actor_id,
            actor_name=self.actor_name,
            roles=self.roles,
            mfa=self.mfa,
            evidence=self.evidence,
            session=self.session,
            ip=self.ip,
            origin=self.origin,
            request_id=str(self.request_id),
            trace_id=self.trace_id,
            event=self.event,
            code=self.code,
            object_type=self.object_type,
            object_id=self.object_id,
            before=self.before,
            after=self.after,
            reason=self.reason,
            outcome=self.outcome,
        )


class AuditHead(models.Model):
    """The end of the chain: one row, locked by every writer, so that ``seq`` has no gaps and the chain no forks."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    size = models.BigIntegerField(default=0)
    chain_hash = models.BinaryField(max_length=32)
    frontier = models.BinaryField(default=b"")
    """Peaks of the Merkle tree, so that a root costs log n hashes and not n."""

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="audit_one_head")]

    def __str__(self) -> str:
        return f"{self.size} entries"


class Checkpoint(models.Model):
    """A signed statement that the log had this root at this size; a copy lies in a file outside the database."""

    id = models.BigAutoField(primary_key=True)
    size = models.BigIntegerField(unique=True)
    root = models.BinaryField(max_length=32)
    chain_hash = models.BinaryField(max_length=32)
    at = models.DateTimeField()
    key_id = models.CharField(max_length=64)
    signature = models.BinaryField(max_length=64)

    def __str__(self) -> str:
        return f"checkpoint at {self.size}"


class VerificationRun(models.Model):
    """What a verification of the whole trail found."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    ok = models.BooleanField()
    size = models.BigIntegerField()
    root = models.CharField(max_length=64, blank=True)
    checkpoints = models.IntegerField(default=0)
    findings = models.JSONField(default=list)
    actor_name = models.CharField(max_length=150)

    class Meta:
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.started_at:%F %T} {'ok' if self.ok else 'FAILED'}"


class AuditReport(models.Model):
    """A report's query and anchor: enough to make the same bytes again, and the digests to prove that they are."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    created_at = models.DateTimeField(db_index=True)
    created_by = models.CharField(max_length=150)
    start = models.DateTimeField()
    end = models.DateTimeField()
    filters = models.JSONField(default=dict)
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="+")
    previous = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="+", null=True)
    query_hash = models.CharField(max_length=64)
    entries = models.IntegerField()
    exceptions = models.IntegerField()
    digests = models.JSONField(default=dict)
    """SHA-256 by format: html, csv, jsonl."""

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"report {self.start:%F} to {self.end:%F}"
