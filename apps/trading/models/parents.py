"""Parent orders: what was asked for by people and strategies, and what the loop made of it."""

from __future__ import annotations

from django.db import models

from apps.trading.choices import PARENT_STATUSES, OrderSide
from apps.trading.models.fields import exact, exact_or_none
from apps.trading.models.reference import Venue


class ParentOrder(models.Model):
    """One parent order.

    ``reason`` to ``cancel_by`` belong to the service that people ask, everything else from ``status`` on to the
    projection of the journal: neither writes the other's columns.
    """

    parent_id = models.CharField(max_length=64, primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="parents")
    symbol = models.CharField(max_length=32)
    side = models.CharField(max_length=4, choices=OrderSide.choices)
    quantity = exact(default=None)
    algorithm = models.CharField(max_length=32)
    params = models.JSONField(default=dict)
    """The algorithm's own, in lots and seconds."""
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    limit_price = exact_or_none()
    reduce_only = models.BooleanField(default=False)
    seed = models.BigIntegerField(default=0)
    route = models.BooleanField(default=False)
    """Whether what must be taken is routed over all venues of the pair."""
    by = models.CharField(max_length=150)
    reason = models.CharField(max_length=500, blank=True)
    request = models.JSONField(default=dict)
    """What the loop is asked for, in its own units; empty for a strategy's parent."""
    requested_at = models.DateTimeField()
    cancel_reason = models.CharField(max_length=500, blank=True)
    cancel_by = models.CharField(max_length=150, blank=True)
    status = models.CharField(max_length=12, choices=PARENT_STATUSES)
    detail = models.CharField(max_length=500, blank=True)
    run_id = models.CharField(max_length=64, blank=True)
    arrival_price = exact_or_none()
    filled_quantity = exact()
    filled_notional = exact()
    fees = exact()
    """In the quote asset, as far as fees were taken in base or quote."""
    children = models.IntegerField(default=0)
    begun_price = exact_or_none()
    """Middle of the market when the first child was decided."""
    end_price = exact_or_none()
    """Middle of the market when it ended."""
    market_volume = exact()
    """What was seen to trade while it was worked, since the last restart of the worker."""
    market_value = exact()
    markouts = models.JSONField(default=dict)
    """Basis points of the average price by seconds after its fills; above 0 the market went our way."""
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    last_seq = models.BigIntegerField(default=0)
    version = models.IntegerField(default=1)

    class Meta:
        ordering = ["-requested_at", "-parent_id"]
        indexes = [
            models.Index(fields=["venue", "-requested_at"], name="parent_newest"),
            models.Index(fields=["venue", "status"], name="parent_status"),
        ]

    def __str__(self) -> str:
        return f"{self.parent_id} {self.side} {self.symbol} {self.status}"
