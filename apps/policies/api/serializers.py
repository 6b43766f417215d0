"""Policies on the wire. Rows come from ``apps.policies.rows``; the fields here describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from apps.policies.choices import LimitsState, OverrideState, PublicationState
from apps.policies.rows import limits_row, override_row, publication_row

if TYPE_CHECKING:
    Base = serializers.Serializer[Any]
else:
    Base = serializers.Serializer


class ConsentSerializer(Base):
    name = serializers.CharField()
    at = serializers.DateTimeField()


class LimitsPublicationSerializer(Base):
    """A wish to publish limits that needs more than one person."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    digest = serializers.CharField()
    state = serializers.ChoiceField(choices=PublicationState.choices)
    people = serializers.IntegerField(help_text="How many must consent, the one who asks included.")
    consents = ConsentSerializer(many=True, help_text="Who consented so far, the one who asked first.")
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    decided_by = serializers.CharField()
    decided_at = serializers.DateTimeField(allow_null=True)
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return publication_row(instance)


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
    discarded_by = serializers.CharField()
    discarded_at = serializers.DateTimeField(allow_null=True)
    discard_reason = serializers.CharField()
    publication = LimitsPublicationSerializer(
        allow_null=True, help_text="The newest wish to publish it by several people."
    )
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return limits_row(instance)


class LimitsContent(Base):
    limits = serializers.DictField()
    note = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class Publication(Base):
    """Leave from auth/step-up/ for action policies.publish on ``<number>:<digest>`` of what was shown."""

    grant = serializers.UUIDField(required=False, allow_null=True)


class PublishingRule(Base):
    mode = serializers.CharField(help_text="live as soon as one venue is.")
    people = serializers.IntegerField()


class Discarding(Base):
    reason = serializers.CharField(max_length=500)


class LimitField(Base):
    """One field of the limits: its name, what it bounds in words, and whether it may be left out."""

    name = serializers.CharField()
    required = serializers.BooleanField()  # type: ignore[assignment]  # a wire name that the base class uses too
    text = serializers.CharField()


class OverrideSerializer(Base):
    object = serializers.CharField(help_text="override: tells the rows of the policies topic apart.")
    id = serializers.UUIDField()
    scope = serializers.CharField(help_text="account, firm, desk:, strategy:, venue: or instrument:<name>")
    code = serializers.CharField(help_text="Reason code of the limit.")
    amount = serializers.CharField(help_text="Decimal in the limit's own unit.")
    until = serializers.DateTimeField()
    reason = serializers.CharField()
    state = serializers.ChoiceField(choices=OverrideState.choices)
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField()
    decided_by = serializers.CharField()
    decided_at = serializers.DateTimeField(allow_null=True)
    ended_by = serializers.CharField()
    ended_at = serializers.DateTimeField(allow_null=True)
    digest = serializers.CharField()
    signature = serializers.CharField()
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return override_row(instance)


class OverrideWish(Base):
    scope = serializers.CharField(max_length=80)
    code = serializers.CharField(max_length=48)
    amount = serializers.CharField(max_length=48)
    until = serializers.DateTimeField(help_text="Within 24 hours.")
    reason = serializers.CharField(max_length=500)


class OverrideApproval(Base):
    """Leave from auth/step-up/ for action policies.override on the request's id."""

    grant = serializers.UUIDField(required=False, allow_null=True)
