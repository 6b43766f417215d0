"""Policies on the wire. Rows come from ``apps.policies.rows``; the fields here describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from apps.policies.choices import LimitsState
from apps.policies.rows import limits_row

if TYPE_CHECKING:
    Base = serializers.Serializer[Any]
else:
    Base = serializers.Serializer


class LimitsSerializer(Base):
    number = serializers.IntegerField()
    state = serializers.ChoiceField(choices=LimitsState.choices)
    limits = serializers.DictField(help_text="Amounts are decimal strings in the quote asset.")
    digest = serializers.CharField()
    signature = serializers.CharField()
    note = serializers.CharField()
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    published_by = serializers.CharField()
    published_at = serializers.DateTimeField(allow_null=True)
    retired_at = serializers.DateTimeField(allow_null=True)
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return limits_row(instance)


class LimitsContent(Base):
    limits = serializers.DictField()
    note = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class Publication(Base):
    """Leave from auth/step-up/ for action policies.publish on the number."""

    grant = serializers.UUIDField(required=False, allow_null=True)
