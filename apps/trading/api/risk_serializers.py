"""Risk reports and what-if questions on the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from apps.trading.api.serializers import OrderReason, VenueQuery, amount, at
from apps.trading.choices import OrderSide

if TYPE_CHECKING:
    Base = serializers.Serializer[Any]
else:
    Base = serializers.Serializer

MOST_ORDERS = 20
LARGEST = Decimal(10) ** 15


class MethodRow(Base):
    """Value at risk and expected shortfall by one method, losses positive; null with the reason in ``detail``."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a wire name that the base class uses too
    var = amount(null=True)
    es = amount(null=True)
    detail = serializers.CharField(allow_blank=True)


class ComponentRow(Base):
    """A position's part of the value at risk; the parts sum to the whole. ``alone`` is its own."""

    symbol = serializers.CharField()
    value = amount()
    var = amount()
    share = serializers.FloatField()
    historical_es = amount()
    alone = amount()


class HeldRow(Base):
    """Every instrument that the report has a price of, flat ones too."""

    symbol = serializers.CharField()
    quantity = amount()
    mark = amount()


class ConcentrationRow(Base):
    herfindahl = amount()
    effective = amount()
    largest = serializers.CharField(allow_blank=True)
    largest_share = amount()


class ExposureRow(Base):
    quote = serializers.CharField()
    gross = amount()
    net = amount()
    long = amount()
    short = amount()
    instruments = serializers.DictField(child=amount())
    venues = serializers.DictField(child=amount())
    currencies = serializers.DictField(child=amount())
    concentration = ConcentrationRow()
    base_concentration = ConcentrationRow(required=False, help_text="By base asset, over all venues of the account.")


class StressRow(Base):
    """Profit by position, negative for a loss; ``outcome`` is done, partial (a lower bound of the loss) or no data."""

    name = serializers.CharField()
    kind = serializers.CharField()
    outcome = serializers.CharField()
    detail = serializers.CharField(allow_blank=True)
    total = amount(null=True)
    positions = serializers.DictField(child=amount())


class CoverageRow(Base):
    statistic = serializers.FloatField()
    p_value = serializers.FloatField()


class ExceedanceRow(Base):
    at = at()
    pnl = amount()


class BacktestRow(Base):
    """Results against the value at risk that was foreseen for them, one report after the other."""

    count = serializers.IntegerField()
    failures = serializers.IntegerField()
    expected = serializers.FloatField()
    kupiec = CoverageRow(allow_null=True)
    christoffersen = CoverageRow(allow_null=True)
    conditional = CoverageRow(allow_null=True)
    zone = serializers.CharField(allow_null=True)
    probability = serializers.FloatField(allow_null=True)
    exceedances = ExceedanceRow(many=True)


class RiskReportSerializer(Base):
    at = at()
    at_ns = serializers.IntegerField()
    venue = serializers.CharField()
    quote = serializers.CharField()
    status = serializers.CharField(help_text="ok, or no data with the reason in detail.")
    detail = serializers.CharField(allow_blank=True)
    confidence = serializers.FloatField()
    horizon_s = serializers.IntegerField()
    interval_s = serializers.FloatField()
    periods = serializers.IntegerField()
    scaled_by = serializers.FloatField(required=False)
    headline = serializers.CharField()
    var = amount(null=True)
    es = amount(null=True)
    var_limit = amount(null=True)
    step_s = serializers.IntegerField()
    step_var = amount(null=True)
    equity = amount(null=True)
    pnl = amount(null=True)
    breach = serializers.BooleanField(allow_null=True)
    methods = MethodRow(many=True)
    components = ComponentRow(many=True)
    holdings = HeldRow(many=True)
    exposure = ExposureRow()
    stress = StressRow(many=True)
    backtest = BacktestRow()
    version = serializers.IntegerField()


class RiskHistorySerializer(Base):
    """Columns of equal length, oldest first; ``total`` counts the reports before thinning."""

    venue = serializers.CharField()
    total = serializers.IntegerField()
    at = serializers.ListField(child=serializers.DateTimeField())
    var = serializers.ListField(child=amount(null=True))
    es = serializers.ListField(child=amount(null=True))
    var_limit = serializers.ListField(child=amount(null=True))
    step_var = serializers.ListField(child=amount(null=True))
    pnl = serializers.ListField(child=amount(null=True))
    breach = serializers.ListField(child=serializers.BooleanField(allow_null=True))


class RiskHistoryQuery(VenueQuery):
    start = serializers.DateTimeField(required=False)
    end = serializers.DateTimeField(required=False)
    points = serializers.IntegerField(required=False, min_value=2, max_value=1500)


class ProposedOrder(Base):
    """An order that is only asked about; without ``price`` a market order."""

    symbol = serializers.CharField(max_length=32)
    side = serializers.ChoiceField(choices=OrderSide.choices)
    quantity = serializers.DecimalField(max_digits=38, decimal_places=18, min_value=Decimal("1E-18"), max_value=LARGEST)
    price = serializers.DecimalField(
        max_digits=38, decimal_places=18, min_value=Decimal("1E-18"), max_value=LARGEST, required=False, allow_null=True
    )


class WhatIfQuestion(VenueQuery):
    orders = ProposedOrder(many=True, min_length=1, max_length=MOST_ORDERS)  # type: ignore[call-arg]  # as of a list


class GateVerdict(Base):
    passes = serializers.BooleanField()
    reasons = OrderReason(many=True)
    detail = serializers.CharField(allow_blank=True)
    inputs = serializers.DictField()


class GateAnswer(Base):
    """The loop's own word on each order by itself; ``available`` is false where it did not answer."""

    available = serializers.BooleanField()
    detail = serializers.CharField(allow_blank=True)
    verdicts = GateVerdict(many=True)


class SideOfAnswer(Base):
    status = serializers.CharField()
    detail = serializers.CharField(allow_blank=True)
    var = amount(null=True)
    es = amount(null=True)
    methods = MethodRow(many=True)
    exposure = ExposureRow()
    components = ComponentRow(many=True)


class StressChange(Base):
    name = serializers.CharField()
    before = amount(null=True)
    after = amount(null=True)
    change = amount(null=True)


class WhatIfAnswer(Base):
    venue = serializers.CharField()
    as_of = at()
    quote = serializers.CharField()
    confidence = serializers.FloatField()
    horizon_s = serializers.IntegerField()
    gate = GateAnswer()
    var_limit = amount(null=True)
    within_var_limit = serializers.BooleanField(allow_null=True)
    before = SideOfAnswer()
    after = SideOfAnswer()
    incremental_var = amount(null=True)
    incremental_es = amount(null=True)
    stress = StressChange(many=True)
