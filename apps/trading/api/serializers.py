"""Trading records on the wire. Rows come from ``apps.trading.rows``; the fields here describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from apps.trading import rows

if TYPE_CHECKING:
    Base = serializers.Serializer[Any]
else:
    Base = serializers.Serializer

AMOUNT = "A decimal as a string, never rounded."


def amount(*, null: bool = False) -> serializers.CharField:
    """A decimal in canonical text."""
    return serializers.CharField(allow_null=null, help_text=AMOUNT)


def at(*, null: bool = False) -> serializers.DateTimeField:
    return serializers.DateTimeField(allow_null=null)


class OrderReason(Base):
    code = serializers.CharField()
    text = serializers.CharField()


class OrderTimeline(Base):
    seq = serializers.IntegerField()
    at = at()
    status = serializers.CharField()
    what = serializers.CharField()
    detail = serializers.CharField()


class OrderSerializer(Base):
    client_id = serializers.CharField()
    venue = serializers.CharField()
    execution_venue = serializers.CharField(help_text="Where it trades; the account's own venue or another.")
    run_id = serializers.CharField()
    symbol = serializers.CharField()
    side = serializers.CharField()
    order_type = serializers.CharField()
    tif = serializers.CharField()
    status = serializers.CharField()
    open = serializers.BooleanField()
    quantity = amount()
    price = amount(null=True)
    filled_quantity = amount()
    average_price = amount(null=True)
    reference_price = amount(null=True)
    reduce_only = serializers.BooleanField()
    venue_order_id = serializers.CharField()
    forecast_id = serializers.CharField()
    model_digest = serializers.CharField()
    limits_version = serializers.IntegerField()
    epoch = serializers.IntegerField()
    reasons = OrderReason(many=True)
    detail = serializers.CharField()
    stages = serializers.DictField(child=serializers.IntegerField(), help_text="Nanoseconds per stage.")
    timeline = OrderTimeline(many=True)
    created_at = at()
    updated_at = at()
    ended_at = at(null=True)
    trigger_price = amount(null=True)
    held_by = serializers.CharField(help_text="Who watches for the trigger price: venue, kernel, or empty.")
    expires_at = at(null=True)
    emulated = serializers.BooleanField(help_text="True when the kernel does in the venue's place what the type asks.")
    emulated_why = serializers.CharField()
    origin = serializers.CharField(help_text="The conditional order that released it, or the entry that it closes.")
    group = serializers.CharField(help_text="Conditional orders of one group exclude each other.")
    replaces = serializers.CharField(help_text="Client id of the order whose place it took.")
    parent_id = serializers.CharField(help_text="Parent order that it is a child of.")
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return rows.order_row(instance)


class FillSerializer(Base):
    id = serializers.CharField()
    venue = serializers.CharField()
    execution_venue = serializers.CharField(help_text="Where it trades; the account's own venue or another.")
    symbol = serializers.CharField()
    trade_id = serializers.IntegerField()
    client_id = serializers.CharField()
    run_id = serializers.CharField()
    side = serializers.CharField()
    quantity = amount()
    price = amount()
    notional = amount()
    fee = amount()
    fee_asset = serializers.CharField()
    maker = serializers.BooleanField()
    executed_at = at()
    recorded_at = at()
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return rows.fill_row(instance)


class JudgedNumber(Base):
    """``unit`` is quote, base, ms or empty for a count; ``limit`` is null where none applies."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a wire name that the base class uses too
    value = serializers.CharField()
    unit = serializers.CharField(allow_blank=True)
    limit = serializers.CharField(allow_null=True)


class SignalValue(Base):
    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a wire name that the base class uses too
    value = serializers.JSONField(help_text="A word or a number, as the strategy noted it.")


class FeeAmount(Base):
    asset = serializers.CharField()
    amount = amount()


class StageTime(Base):
    stage = serializers.CharField()
    ns = serializers.IntegerField()


class OrderLatency(Base):
    """``venue_ns`` is from leaving until the venue's first word, by our clock."""

    stages = StageTime(many=True)
    total_ns = serializers.IntegerField(allow_null=True)
    venue_ns = serializers.IntegerField(allow_null=True)


class OrderTraceSerializer(Base):
    """How one order came to be, and what became of it."""

    client_id = serializers.CharField()
    quote = serializers.CharField()
    run_id = serializers.CharField()
    strategy = serializers.CharField()
    signal = SignalValue(many=True)
    passed = serializers.BooleanField(help_text="Whether the risk gate let it out.")
    judged = serializers.BooleanField(help_text="Whether the numbers of the verdict are known.")
    limits_version = serializers.IntegerField()
    numbers = JudgedNumber(many=True)
    fills = FillSerializer(many=True)
    fees = FeeAmount(many=True)
    latency = OrderLatency()


class PositionSerializer(Base):
    venue = serializers.CharField()
    execution_venue = serializers.CharField(help_text="Where it trades; the account's own venue or another.")
    symbol = serializers.CharField()
    quantity = amount()
    average_price = amount(null=True)
    cost = amount()
    mark = amount(null=True)
    value = amount(null=True)
    unrealised = amount(null=True)
    realised = amount()
    fees = amount()
    marked_at = at(null=True)
    updated_at = at()
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return rows.position_row(instance)


class InstrumentSerializer(Base):
    venue = serializers.CharField()
    symbol = serializers.CharField()
    base = serializers.CharField()
    quote = serializers.CharField()
    tick = amount()
    lot = amount()
    min_quantity = amount()
    max_quantity = amount()
    min_notional = amount()
    maker_fee = amount()
    taker_fee = amount()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return rows.instrument_row(instance)


class BalanceSerializer(Base):
    asset = serializers.CharField()
    total = amount()
    updated_at = at()


class FeedSerializer(Base):
    venue = serializers.CharField()
    symbol = serializers.CharField()
    state = serializers.CharField()
    detail = serializers.CharField()
    changed_at = at()


class ControlSerializer(Base):
    """``state`` is wanted, ``observed_state`` is what the loop reported last."""

    object = serializers.CharField(help_text="control: tells the rows of the halts topic apart.")
    venue = serializers.CharField()
    state = serializers.CharField()
    version = serializers.IntegerField()
    reason = serializers.CharField()
    by = serializers.CharField()
    changed_at = at()
    cancel_version = serializers.IntegerField()
    observed_state = serializers.CharField()
    observed_reason = serializers.CharField()
    observed_version = serializers.IntegerField()
    observed_at = at(null=True)
    limits_version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return rows.control_row(instance)


class AccountSerializer(Base):
    venue = serializers.CharField()
    mode = serializers.CharField()
    market = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a wire name that the base class uses too
    quote = serializers.CharField()
    equity = amount(null=True)
    realised = amount(null=True)
    unrealised = amount(null=True)
    fees = amount(null=True)
    cash = amount(null=True)
    gross = amount(null=True)
    drawdown = amount(null=True)
    marked_at = at(null=True)
    open_orders = serializers.IntegerField()
    balances = BalanceSerializer(many=True)
    control = ControlSerializer()
    feeds = FeedSerializer(many=True)


class PnlSerializer(Base):
    """Columns of equal length; ``total`` counts the points before thinning."""

    venue = serializers.CharField()
    start = at()
    end = at()
    total = serializers.IntegerField()
    at = serializers.ListField(child=serializers.DateTimeField())
    equity = serializers.ListField(child=amount())
    realised = serializers.ListField(child=amount())
    unrealised = serializers.ListField(child=amount())
    fees = serializers.ListField(child=amount())
    cash = serializers.ListField(child=amount())
    gross = serializers.ListField(child=amount())
    drawdown = serializers.ListField(child=amount())


class HaltSerializer(Base):
    id = serializers.UUIDField()
    venue = serializers.CharField()
    reason = serializers.CharField()
    halted_by = serializers.CharField()
    halted_at = at()
    automatic = serializers.BooleanField()
    control_version = serializers.IntegerField()
    effective_at = at(null=True)
    resumed_by = serializers.CharField()
    resumed_at = at(null=True)
    resume_reason = serializers.CharField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return rows.halt_row(instance)


class ResumeRequestSerializer(Base):
    object = serializers.CharField(help_text="resume_request: tells the rows of the halts topic apart.")
    id = serializers.UUIDField()
    venue = serializers.CharField()
    halt = serializers.UUIDField()
    state = serializers.CharField()
    reason = serializers.CharField()
    approvals_needed = serializers.IntegerField()
    requested_by = serializers.CharField()
    requested_at = at()
    expires_at = at()
    approved_by = serializers.CharField()
    decided_at = at(null=True)
    version = serializers.IntegerField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return rows.resume_row(instance)


class ReconciliationSerializer(Base):
    id = serializers.IntegerField()
    venue = serializers.CharField()
    at_venue = serializers.CharField(help_text="Execution venue that was asked; empty for the home venue.")
    at = at()
    ok = serializers.BooleanField()
    compared = serializers.BooleanField(help_text="False when the venue was lost; breaks then say why.")
    orders_checked = serializers.IntegerField()
    fills_adopted = serializers.IntegerField()
    breaks = serializers.ListField(child=serializers.CharField())

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return rows.reconciliation_row(instance)


class ResumeAnswer(Base):
    """``resumed`` is false where policy wants another person: then ``request`` says what waits."""

    resumed = serializers.BooleanField()
    control = ControlSerializer()
    request = ResumeRequestSerializer(allow_null=True)


class VenueOrder(Base):
    """An order about a venue: without ``venue``, the desk's own."""

    venue = serializers.SlugField(required=False, max_length=32)
    reason = serializers.CharField(max_length=500)


class GrantedOrder(VenueOrder):
    """An order that needs a fresh code, whose grant comes from auth/step-up/."""

    grant = serializers.UUIDField(required=False, allow_null=True)


class Approval(Base):
    """Leave from auth/step-up/ for action trading.resume on the venue."""

    grant = serializers.UUIDField(required=False, allow_null=True)


class VenueQuery(Base):
    venue = serializers.SlugField(required=False, max_length=32)


class PnlQuery(VenueQuery):
    start = serializers.DateTimeField(required=False)
    end = serializers.DateTimeField(required=False)
    points = serializers.IntegerField(required=False, min_value=4, max_value=1500)
