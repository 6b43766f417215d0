"""Incidents on the wire. Rows come from ``apps.incidents.rows``; the fields here describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from apps.incidents.choices import Kind, Severity, State
from apps.incidents.rows import incident_row

if TYPE_CHECKING:
    Base = serializers.Serializer[Any]
else:
    Base = serializers.Serializer


class TimelineSerializer(Base):
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    by = serializers.CharField()
    text = serializers.CharField()


class IncidentSerializer(Base):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Kind.choices)
    fingerprint = serializers.CharField()
    severity = serializers.ChoiceField(choices=Severity.choices)
    title = serializers.CharField()
    detail = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a wire name that the base class uses too
    evidence = serializers.DictField()
    state = serializers.ChoiceField(choices=State.choices)
    count = serializers.IntegerField()
    opened_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    source_cleared_at = serializers.DateTimeField(allow_null=True)
    acknowledged_by = serializers.CharField()
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    resolved_by = serializers.CharField()
    resolved_at = serializers.DateTimeField(allow_null=True)
    timeline = TimelineSerializer(many=True)
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return incident_row(instance)


class Comment(Base):
    comment = serializers.CharField(required=False, allow_blank=True, max_length=2000, default="")


class Note(Base):
    text = serializers.CharField(max_length=2000)
