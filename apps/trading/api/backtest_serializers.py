"""Backtests on the wire."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.trading.models.backtests import BacktestKind, BacktestState

LARGEST_SEED = 2**53
"""JSON numbers are exact up to here, and the columns of seeds hold them."""
METRICS = ("sharpe", "sortino", "calmar", "total_return", "max_drawdown", "profit_factor")


class BacktestOrder(serializers.Serializer[Any]):
    """What to run. With ``ranges`` it is a search of ``trials`` trials; a range is ``low:high`` or ``a|b|c``."""

    strategy = serializers.CharField(max_length=64)
    data = serializers.CharField(max_length=255)  # type: ignore[assignment]  # fields are taken out of the class
    params = serializers.DictField(required=False, default=dict)
    capital = serializers.DecimalField(max_digits=24, decimal_places=8, required=False, min_value=0)
    fee_bps = serializers.DecimalField(max_digits=8, decimal_places=4, required=False, min_value=0)
    maker_fee_bps = serializers.DecimalField(max_digits=8, decimal_places=4, required=False, min_value=0)
    latency_ms = serializers.FloatField(required=False, min_value=0, max_value=3_600_000)
    seed = serializers.IntegerField(required=False, min_value=0, max_value=LARGEST_SEED)
    warm = serializers.IntegerField(required=False, min_value=0)
    start = serializers.DateTimeField(required=False)
    end = serializers.DateTimeField(required=False)
    ranges = serializers.DictField(child=serializers.CharField(max_length=200), required=False)
    trials = serializers.IntegerField(required=False, min_value=1, max_value=1000)
    metric = serializers.ChoiceField(choices=[(name, name) for name in METRICS], required=False)


class BacktestSerializer(serializers.Serializer[Any]):
    """A run, a search, or a trial. ``progress`` is from 0 to 1; of a search, all but ``detail`` is its best trial's."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=BacktestKind.choices)
    search = serializers.UUIDField(allow_null=True)
    number = serializers.IntegerField()
    strategy = serializers.CharField()
    params = serializers.DictField()
    data = serializers.CharField()  # type: ignore[assignment]
    settings = serializers.DictField()
    state = serializers.ChoiceField(choices=BacktestState.choices)
    cancel_requested = serializers.BooleanField()
    progress = serializers.FloatField()
    detail = serializers.CharField(allow_blank=True)
    inputs = serializers.CharField(allow_blank=True)
    fingerprint = serializers.CharField(allow_blank=True)
    summary = serializers.DictField(allow_null=True)
    score = serializers.FloatField(allow_null=True)
    has_sheet = serializers.BooleanField()
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    version = serializers.IntegerField()


class BacktestListSerializer(serializers.Serializer[Any]):
    """Newest first."""

    results = BacktestSerializer(many=True)
    data = serializers.ListField(child=serializers.CharField())  # type: ignore[assignment]
    """Names that ``data`` of an order may have; of very many files not all, and any file can be named."""


class BacktestDetailSerializer(BacktestSerializer):
    """With its trials, if it is a search."""

    trials = BacktestSerializer(many=True)


class BacktestQuery(serializers.Serializer[Any]):
    """Which ones to list."""

    strategy = serializers.CharField(required=False)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=200)


class ParameterSerializer(serializers.Serializer[Any]):
    """One parameter of a strategy; ``bounds`` in words."""

    name = serializers.CharField()
    type = serializers.CharField()
    default = serializers.JSONField(allow_null=True)
    bounds = serializers.CharField(allow_blank=True)
    choices = serializers.ListField(child=serializers.JSONField())


class StrategySerializer(serializers.Serializer[Any]):
    """One registered strategy."""

    name = serializers.CharField()
    summary = serializers.CharField()
    detail = serializers.CharField(allow_blank=True)
    built_in = serializers.BooleanField()
    uses_forecasts = serializers.BooleanField()
    hooks = serializers.ListField(child=serializers.CharField())
    params = ParameterSerializer(many=True)
