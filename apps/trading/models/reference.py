"""Venues and the instruments that they list."""

from __future__ import annotations

from django.db import models

from apps.trading.choices import Mode
from apps.trading.models.fields import exact


class Venue(models.Model):
    """One place to trade with one account; the execution worker that serves it carries its name in its journal."""

    name = models.SlugField(max_length=32, primary_key=True)
    mode = models.CharField(max_length=8, choices=Mode.choices, default=Mode.PAPER)
    market = models.CharField(max_length=32, blank=True)
    """What the venue serves: recording, bars, live, sample or synthetic; empty until it has said so."""
    label = models.CharField(max_length=200, blank=True)
    quote = models.CharField(max_length=16, default="USDT")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Instrument(models.Model):
    """A pair with the venue's filters, as the last execution session declared them; fees are fractions of notional."""

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="instruments")
    symbol = models.CharField(max_length=32)
    base = models.CharField(max_length=16)
    quote = models.CharField(max_length=16)
    tick = exact(default=None)
    lot = exact(default=None)
    min_lots = models.BigIntegerField()
    max_lots = models.BigIntegerField()
    min_notional = exact(default=None)
    maker_fee = exact(default=None)
    taker_fee = exact(default=None)

    class Meta:
        ordering = ["symbol"]
        constraints = [models.UniqueConstraint(fields=["venue", "symbol"], name="instrument_once_per_venue")]

    def __str__(self) -> str:
        return f"{self.venue_id}:{self.symbol}"
