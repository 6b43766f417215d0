"""The double-entry ledger and who made the profit, both as the execution journal's events make them."""

from __future__ import annotations

from django.db import models

from apps.trading.models.fields import exact
from apps.trading.models.reference import Venue
from workers.engine.accounting.ledger import Account, EntryKind

LEDGER_ACCOUNTS = [(account.value, account.value.capitalize()) for account in Account]
LEDGER_KINDS = [(kind.value, kind.value.capitalize()) for kind in EntryKind]


class LedgerPosting(models.Model):
    """One line of one entry; an entry is one journal record, and its ``value`` sums to nought.

    ``value`` is in the account's quote asset, debit positive; ``quantity`` is how much of ``asset`` moved with it.
    """

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="postings")
    seq = models.BigIntegerField()
    """Number of the journal record."""
    number = models.PositiveSmallIntegerField()
    """Of the line within its entry, from 0."""
    at = models.DateTimeField()
    kind = models.CharField(max_length=12, choices=LEDGER_KINDS)
    ref = models.CharField(max_length=80)
    client_id = models.CharField(max_length=64, blank=True)
    account = models.CharField(max_length=12, choices=LEDGER_ACCOUNTS)
    asset = models.CharField(max_length=48)
    symbol = models.CharField(max_length=32, blank=True)
    value = exact()
    quantity = exact()

    class Meta:
        ordering = ["-seq", "number"]
        constraints = [models.UniqueConstraint(fields=["venue", "seq", "number"], name="posting_once")]
        indexes = [
            models.Index(fields=["venue", "account", "-at"], name="posting_account"),
            models.Index(fields=["-at", "-id"], name="posting_newest"),
            models.Index(fields=["venue", "kind", "ref"], name="posting_ref"),
        ]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.seq}.{self.number} {self.account} {self.value}"


class AttributionCell(models.Model):
    """What one strategy holds and made in one instrument, at average cost; amounts in the quote asset."""

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="attribution")
    strategy = models.CharField(max_length=64)
    symbol = models.CharField(max_length=32)
    quantity = exact()
    unpriced = exact()
    cost = exact()
    realised = exact()
    fees = exact()
    funding = exact()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["venue", "strategy", "symbol"]
        constraints = [models.UniqueConstraint(fields=["venue", "strategy", "symbol"], name="attribution_once")]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.strategy} {self.symbol}"
