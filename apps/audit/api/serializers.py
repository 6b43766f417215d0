"""Shapes of the audit endpoints."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.audit.models import AuditEntry, AuditReport, Checkpoint, VerificationRun


@extend_schema_field(OpenApiTypes.STR)
class HexField(serializers.Field[Any, Any, Any, Any]):
    """Bytes as hex digits; read only."""

    def to_representation(self, value: Any) -> str:
        return bytes(value).hex()


class EntryOutput(serializers.ModelSerializer[AuditEntry]):
    prev_hash = HexField(read_only=True)
    leaf_hash = HexField(read_only=True)

    class Meta:
        model = AuditEntry
        fields = (
            *("seq", "at", "event", "code", "outcome", "actor_kind", "actor_id", "actor_name", "roles", "mfa"),
            *("evidence", "session", "ip", "origin", "request_id", "trace_id", "object_type", "object_id"),
            *("before", "after", "reason", "prev_hash", "leaf_hash"),
        )


class CheckpointOutput(serializers.ModelSerializer[Checkpoint]):
    root = HexField(read_only=True)  # type: ignore[assignment]  # a column; the stubs know the parent serializer
    chain_hash = HexField(read_only=True)
    signature = HexField(read_only=True)

    class Meta:
        model = Checkpoint
        fields = ("size", "root", "chain_hash", "at", "key_id", "signature")


class FindingOutput(serializers.Serializer[Any]):
    kind = serializers.CharField()
    seq = serializers.IntegerField()
    detail = serializers.CharField()


class RunOutput(serializers.ModelSerializer[VerificationRun]):
    findings = FindingOutput(many=True)
    by = serializers.CharField(source="actor_name")

    class Meta:
        model = VerificationRun
        fields = ("id", "ok", "started_at", "finished_at", "size", "root", "checkpoints", "findings", "by")


class ReportInput(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    filters = serializers.DictField(child=serializers.CharField(max_length=150), default=dict)


class ReportOutput(serializers.ModelSerializer[AuditReport]):
    checkpoint_size = serializers.IntegerField(source="checkpoint.size", read_only=True)
    root = HexField(source="checkpoint.root", read_only=True)  # type: ignore[assignment]  # a column, as above
    downloads = serializers.SerializerMethodField()

    class Meta:
        model = AuditReport
        fields = (
            *("id", "created_at", "created_by", "start", "end", "filters", "entries", "exceptions"),
            *("query_hash", "checkpoint_size", "root", "digests", "downloads"),
        )

    def get_downloads(self, report: AuditReport) -> dict[str, str]:
        return {form: f"/api/v1/audit/reports/{report.pk}/{form}/" for form in ("html", "csv", "jsonl")}
