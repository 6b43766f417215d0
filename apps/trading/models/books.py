"""Balances, positions and the equity series, as projected from the execution journal."""

from __future__ import annotations

from django.db import models

from apps.trading.models.fields import exact, exact_or_none
from apps.trading.models.reference import Venue


class Balance(models.Model):
    """What the account holds of one asset."""

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="balances")
    asset = models.CharField(max_length=48)
    total = exact()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["asset"]
        constraints = [models.UniqueConstraint(fields=["venue", "asset"], name="balance_once")]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.total} {self.asset}"


class Position(models.Model):
    """Holding of one instrument. ``cost`` is what the open quantity was bought for, in the quote asset."""

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="positions")
    symbol = models.CharField(max_length=32)
    quantity = exact()
    cost = exact()
    unpriced = exact()
    """Part of the quantity that was adopted from the venue and has no cost yet."""
    realised = exact()
    fees = exact()
    """Commissions, valued in the quote asset at the price of the fill that they were charged on."""
    mark = exact_or_none()
    marked_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()
    version = models.IntegerField()

    class Meta:
        ordering = ["symbol"]
        constraints = [models.UniqueConstraint(fields=["venue", "symbol"], name="position_once")]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.quantity} {self.symbol}"


class EquityPoint(models.Model):
    """One valuation of the account, all amounts in the quote asset. Drawdown is from the high-water mark, positive."""

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="equity_points")
    at = models.DateTimeField()
    seq = models.BigIntegerField()
    equity = exact()
    realised = exact()
    unrealised = exact()
    fees = exact()
    cash = exact()
    gross = exact()
    drawdown = exact()

    class Meta:
        ordering = ["at", "seq"]
        constraints = [models.UniqueConstraint(fields=["venue", "at", "seq"], name="equity_once")]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.at.isoformat()} {self.equity}"
