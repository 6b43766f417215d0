"""Deployments on the wire. Rows come from ``apps.deployments.rows``; the fields here describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from apps.deployments import rows
from apps.deployments.choices import RunState, StepState
from apps.deployments.domain.release import MINUTE_NS
from apps.deployments.domain.shares import PLACES

if TYPE_CHECKING:
    Base = serializers.Serializer[Any]
else:
    Base = serializers.Serializer


class ReleaseSerializer(Base):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    strategy = serializers.CharField()
    params = serializers.DictField()
    model_digest = serializers.CharField()
    limits_version = serializers.IntegerField()
    limits_digest = serializers.CharField()
    instruments = serializers.ListField(child=serializers.CharField())
    interval_ns = serializers.IntegerField()
    capital_share = serializers.CharField(allow_null=True)
    config_hash = serializers.CharField()
    digest = serializers.CharField()
    note = serializers.CharField()
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return rows.release_row(instance)


class StepSerializer(Base):
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=StepState.choices)
    detail = serializers.CharField()
    evidence = serializers.DictField()
    done_at = serializers.DateTimeField(allow_null=True)


class RunSerializer(Base):
    """``actions`` lists what may be ordered now."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    release = serializers.UUIDField()
    release_number = serializers.IntegerField()
    venue = serializers.CharField()
    environment = serializers.CharField()
    state = serializers.ChoiceField(choices=RunState.choices)
    detail = serializers.CharField()
    plan = serializers.DictField()
    actions = serializers.ListField(child=serializers.CharField())
    requested_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    healthy_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    stop_reason = serializers.CharField()
    steps = StepSerializer(many=True)
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return rows.run_row(instance)


class ReleaseContent(Base):
    strategy = serializers.CharField(max_length=64)
    params = serializers.DictField(required=False, default=dict)
    model_digest = serializers.CharField(max_length=80, allow_blank=True, required=False, default="")
    limits_version = serializers.IntegerField(min_value=1)
    instruments = serializers.ListField(child=serializers.CharField(max_length=32), max_length=200)
    interval_ns = serializers.IntegerField(required=False, default=MINUTE_NS)
    capital_share = serializers.DecimalField(
        max_digits=7,
        decimal_places=PLACES,
        required=False,
        allow_null=True,
        default=None,
        help_text="Part of the account's equity that a run sizes by, in (0, 1]; null for all of it.",
    )
    note = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class StartOrder(Base):
    """``grant`` is leave from auth/step-up/ for action deployments.start on the release."""

    release = serializers.UUIDField()
    venue = serializers.SlugField(required=False, max_length=32)
    grant = serializers.UUIDField(required=False, allow_null=True)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class StopOrder(Base):
    reason = serializers.CharField(max_length=500)
