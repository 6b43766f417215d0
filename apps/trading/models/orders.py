"""Orders and their executions, as projected from the execution journal."""

from __future__ import annotations

from django.db import models

from apps.trading.choices import ORDER_STATUSES, OrderSide
from apps.trading.models.fields import exact, exact_or_none
from apps.trading.models.reference import Venue


class Order(models.Model):
    """One order, from verdict to end. ``version`` counts the journal events that shaped it."""

    id = models.BigAutoField(primary_key=True)
    client_id = models.CharField(max_length=64, unique=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="orders")
    run_id = models.CharField(max_length=64, blank=True)
    symbol = models.CharField(max_length=32)
    side = models.CharField(max_length=4, choices=OrderSide.choices)
    order_type = models.CharField(max_length=16)
    tif = models.CharField(max_length=8, blank=True)
    status = models.CharField(max_length=16, choices=ORDER_STATUSES)
    quantity = exact(default=None)
    price = exact_or_none()
    filled_quantity = exact()
    filled_notional = exact()
    reference_price = exact_or_none()
    reduce_only = models.BooleanField(default=False)
    never_sent = models.BooleanField(default=False)
    venue_order_id = models.CharField(max_length=64, blank=True)
    forecast_id = models.CharField(max_length=64, blank=True)
    model_digest = models.CharField(max_length=80, blank=True)
    limits_version = models.IntegerField(default=0)
    epoch = models.BigIntegerField(default=0)
    reasons = models.JSONField(default=list)
    """Reason codes of a denial, or ``[code]`` of a rejection by the venue."""
    detail = models.CharField(max_length=500, blank=True)
    decision = models.JSONField(default=dict)
    stages = models.JSONField(default=dict)
    """Nanoseconds per stage between the market event's arrival and the wire."""
    timeline = models.JSONField(default=list)
    """``{seq, at, status, detail}`` per journal event, oldest first."""
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    trigger_price = exact_or_none()
    """Price that a conditional order waits for."""
    expires_at = models.DateTimeField(null=True)
    """When the kernel ends it (GTD and day orders)."""
    emulated = models.CharField(max_length=500, blank=True, default="")
    """What the kernel does of it in the venue's place, and why; empty when all is native."""
    origin = models.CharField(max_length=64, blank=True, default="")
    """The conditional order that released it, or the entry whose fills a bracket's exit closes."""
    group = models.CharField(max_length=64, blank=True, default="")
    """Conditional orders of one group exclude each other."""
    replaces = models.CharField(max_length=64, blank=True, default="")
    """Order whose place it took."""
    parent_id = models.CharField(max_length=64, blank=True, default="")
    """Parent order that it is a child of."""
    last_seq = models.BigIntegerField()
    version = models.IntegerField()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["venue", "-created_at"], name="order_newest"),
            models.Index(fields=["venue", "status"], name="order_status"),
            models.Index(fields=["run_id"], name="order_run"),
            models.Index(fields=["origin"], name="order_origin"),
            models.Index(fields=["parent_id"], name="order_parent"),
        ]

    def __str__(self) -> str:
        return f"{self.client_id} {self.side} {self.symbol} {self.status}"


class Fill(models.Model):
    """One execution; the venue's trade id makes it unique per venue and instrument."""

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="fills")
    symbol = models.CharField(max_length=32)
    trade_id = models.BigIntegerField()
    client_id = models.CharField(max_length=64)
    run_id = models.CharField(max_length=64, blank=True)
    side = models.CharField(max_length=4, choices=OrderSide.choices)
    quantity = exact(default=None)
    price = exact(default=None)
    notional = exact(default=None)
    fee = exact()
    fee_asset = models.CharField(max_length=48)
    maker = models.BooleanField(default=False)
    executed_at = models.DateTimeField()
    """By the venue's clock."""
    recorded_at = models.DateTimeField()
    """By ours, when the execution worker journalled it."""
    seq = models.BigIntegerField()
    version = models.IntegerField(default=1)

    class Meta:
        ordering = ["-executed_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["venue", "symbol", "trade_id"], name="fill_once")]
        indexes = [
            models.Index(fields=["venue", "-executed_at"], name="fill_newest"),
            models.Index(fields=["venue", "symbol", "-executed_at", "-id"], name="fill_last_price"),
            models.Index(fields=["client_id"], name="fill_order"),
        ]

    def __str__(self) -> str:
        return f"{self.trade_id} {self.side} {self.quantity} {self.symbol} @ {self.price}"


class FillDay(models.Model):
    """The fills of one UTC day, run and instrument added up, so that results need not read every fill there ever was.

    Kept in the transaction that writes the fills; it holds nothing that the fills do not say.
    """

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="fill_days")
    day = models.DateField()
    run_id = models.CharField(max_length=64, blank=True)
    symbol = models.CharField(max_length=32)
    fee_asset = models.CharField(max_length=48)
    bought = exact()
    sold = exact()
    paid = exact()
    received = exact()
    fee = exact()

    class Meta:
        ordering = ["day"]
        constraints = [
            models.UniqueConstraint(fields=["venue", "day", "run_id", "symbol", "fee_asset"], name="fill_day_once")
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.run_id} {self.symbol}"
