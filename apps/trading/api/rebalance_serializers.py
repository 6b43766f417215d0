"""Rebalances on the wire: runs, proposals, what was made of them, and standing policies."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.trading.api.serializers import Base, amount, at
from apps.trading.choices import OrderSide
from apps.trading.models import ExecutionState, LegState, RebalanceState
from apps.trading.rows_rebalances import rebalance_row, schedule_row


class LegSerializer(Base):
    """One approved trade. ``sent_quantity`` is smaller than ``quantity`` where free cash was short."""

    symbol = serializers.CharField()
    side = serializers.ChoiceField(choices=OrderSide.choices)
    quantity = amount()
    limit_price = amount()
    state = serializers.ChoiceField(choices=LegState.choices)
    sent_quantity = amount(null=True)
    filled_quantity = amount()
    parent_id = serializers.CharField(allow_null=True)
    why = serializers.CharField()


class ExecutionSerializer(Base):
    """What became of an approved proposal: one leg per trade, in the order in which they are sent."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=ExecutionState.choices)
    digest = serializers.CharField()
    reason = serializers.CharField()
    approved_by = serializers.CharField()
    approved_at = at()
    cancel_reason = serializers.CharField()
    cancel_by = serializers.CharField()
    finished_at = at(null=True)
    why = serializers.CharField()
    legs = LegSerializer(many=True)
    version = serializers.IntegerField()


class RebalanceSerializer(Base):
    """A run. ``outcome`` holds the optimiser's status, weights, targets, proposed trades, certificate and conflict."""

    id = serializers.UUIDField()
    venue = serializers.CharField()
    state = serializers.ChoiceField(choices=RebalanceState.choices)
    method = serializers.CharField()
    policy = serializers.DictField()
    policy_digest = serializers.CharField()
    inputs_digest = serializers.CharField()
    inputs = serializers.DictField()
    outcome = serializers.DictField()
    cost = amount(null=True)
    why = serializers.CharField()
    schedule = serializers.UUIDField(allow_null=True, help_text="The standing policy that asked for it.")
    execution = ExecutionSerializer(allow_null=True)
    requested_by = serializers.CharField()
    requested_at = at()
    started_at = at(null=True)
    finished_at = at(null=True)
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return rebalance_row(instance)


class RebalanceOrder(Base):
    """What to compute. ``policy`` is described in docs/portfolio.md; what is left out has its default."""

    venue = serializers.SlugField(required=False, max_length=32)
    policy = serializers.DictField()
    reason = serializers.CharField(required=False, max_length=500, default="")


class ProposedTradeSerializer(Base):
    """``limit_price`` is the worst price that it may trade at."""

    symbol = serializers.CharField()
    side = serializers.ChoiceField(choices=OrderSide.choices)
    quantity = amount()
    price = amount()
    limit_price = amount()


class ProposalSerializer(Base):
    """``digest`` after the venue's name and a colon is the object of the fresh code for trading.rebalance.

    ``problem`` says why it cannot be approved now; empty when it can.
    """

    run = serializers.UUIDField()
    venue = serializers.CharField()
    digest = serializers.CharField()
    expires_at = at()
    problem = serializers.CharField()
    algorithm = serializers.CharField()
    params = serializers.DictField()
    duration_s = serializers.FloatField()
    quote = serializers.CharField()
    cost = amount()
    trades = ProposedTradeSerializer(many=True)


class RebalanceApproval(Base):
    """``grant`` from auth/step-up/ for action trading.rebalance on the proposal."""

    reason = serializers.CharField(max_length=500)
    grant = serializers.UUIDField(required=False, allow_null=True)


class RebalanceReason(Base):
    reason = serializers.CharField(max_length=500)


class ScheduleSerializer(Base):
    """A standing policy. ``problem`` says why the last run could not be asked for, or its trades not be made."""

    id = serializers.UUIDField()
    venue = serializers.CharField()
    active = serializers.BooleanField()
    policy = serializers.DictField()
    policy_digest = serializers.CharField()
    reason = serializers.CharField()
    set_by = serializers.CharField()
    set_at = at()
    next_at = at(null=True)
    last_run = serializers.UUIDField(allow_null=True)
    problem = serializers.CharField()
    ended_by = serializers.CharField()
    ended_at = at(null=True)
    ended_reason = serializers.CharField()
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return schedule_row(instance)


class ScheduleWish(Base):
    """A policy with ``schedule``, as docs/portfolio.md describes it."""

    venue = serializers.SlugField(required=False, max_length=32)
    policy = serializers.DictField()


class ScheduleOrder(ScheduleWish):
    """``grant`` for trading.rebalance is needed where the policy executes by itself."""

    reason = serializers.CharField(max_length=500)
    grant = serializers.UUIDField(required=False, allow_null=True)


class SchedulePreview(Base):
    """``digest`` after the venue's name and a colon is the object of the fresh code for trading.rebalance."""

    venue = serializers.CharField()
    policy = serializers.DictField()
    digest = serializers.CharField()
