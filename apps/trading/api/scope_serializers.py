"""Halts by scope and parts of the open orders on the wire; rows come from ``apps.trading.rows_scopes``."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.trading.api.serializers import Base, VenueOrder, at
from apps.trading.rows_scopes import cancel_row, scope_halt_row, scope_row

SCOPE = "firm, desk:<name>, strategy:<name>, venue:<name> or instrument:<symbol>"


class ScopeSerializer(Base):
    object = serializers.CharField(help_text="scope: tells the rows of the halts topic apart.")
    scope = serializers.CharField(help_text=SCOPE)
    halted = serializers.BooleanField()
    version = serializers.IntegerField()
    reason = serializers.CharField()
    by = serializers.CharField()
    changed_at = at()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return scope_row(instance)


class ScopeHaltSerializer(Base):
    """One halt; where resuming waits for another person, ``requested_by`` says who asked."""

    id = serializers.UUIDField()
    scope = serializers.CharField(help_text=SCOPE)
    reason = serializers.CharField()
    halted_by = serializers.CharField()
    halted_at = at()
    automatic = serializers.BooleanField()
    version = serializers.IntegerField()
    effective_at = at(null=True)
    requested_by = serializers.CharField()
    requested_at = at(null=True)
    request_reason = serializers.CharField()
    request_expires_at = at(null=True)
    resumed_by = serializers.CharField()
    approved_by = serializers.CharField()
    resumed_at = at(null=True)
    resume_reason = serializers.CharField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return scope_halt_row(instance)


class KnownScopes(Base):
    scopes = serializers.ListField(child=serializers.CharField(help_text=SCOPE))


class ScopeOrder(Base):
    """An order about a scope. The fresh code's grant is for trading.halt or trading.resume on that scope."""

    scope = serializers.CharField(max_length=80, help_text=SCOPE)
    reason = serializers.CharField(max_length=500)
    grant = serializers.UUIDField(required=False, allow_null=True)


class ScopeResumeAnswer(Base):
    """``resumed`` is false where policy wants another person: then ``halt`` waits for approval."""

    resumed = serializers.BooleanField()
    scope = ScopeSerializer()
    halt = ScopeHaltSerializer()


class CancelRequest(VenueOrder):
    """Which open orders to cancel; what is left out takes all of its sort."""

    scope = serializers.CharField(required=False, max_length=80, default="firm", help_text=SCOPE)
    symbol = serializers.CharField(required=False, max_length=32, default="")
    strategy = serializers.CharField(required=False, max_length=64, default="")
    side = serializers.ChoiceField(required=False, choices=["BUY", "SELL", ""], default="")
    client_id = serializers.CharField(
        required=False,
        max_length=64,
        default="",
        help_text="One order, or one conditional order and what it released.",
    )


class CancelOrderSerializer(Base):
    id = serializers.IntegerField()
    venue = serializers.CharField()
    selection = serializers.DictField(child=serializers.CharField(allow_blank=True))
    reason = serializers.CharField()
    by = serializers.CharField()
    at = at()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return cancel_row(instance)
