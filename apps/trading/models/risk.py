"""Risk as it was reported, and what the newest report was made of. Derived from records; not audited itself."""

from __future__ import annotations

from django.db import models

from apps.trading.models.fields import exact, exact_or_none
from apps.trading.models.reference import Venue


class RiskReport(models.Model):
    """One look at a venue's risk. ``body`` is the whole report; the columns are what series and limits need of it.

    ``pnl`` is what the positions of the report before made until this one, at its marks: that result, not the traded
    one, is what the step's value at risk foretold. Null where there was no report just before.
    """

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="risk_reports")
    at = models.DateTimeField()
    status = models.CharField(max_length=12)
    confidence = models.FloatField()
    var = exact_or_none()
    es = exact_or_none()
    step_var = exact_or_none()
    """Value at risk until the next report."""
    var_limit = exact_or_none()
    """What the published limits allowed then."""
    gross = exact()
    net = exact()
    equity = exact_or_none()
    pnl = exact_or_none()
    breach = models.BooleanField(null=True)
    """True when ``pnl`` lost more than the step's value at risk of the report before."""
    body = models.JSONField()

    class Meta:
        ordering = ["-at"]
        constraints = [models.UniqueConstraint(fields=["venue", "at"], name="risk_report_once")]

    def __str__(self) -> str:
        return f"{self.venue_id} {self.at.isoformat()} {self.status}"


class RiskBasis(models.Model):
    """What the newest report of a venue was made of, for what-if questions and for the gate's value at risk."""

    venue = models.OneToOneField(Venue, on_delete=models.PROTECT, primary_key=True, related_name="risk_basis")
    at = models.DateTimeField()
    inputs = models.JSONField()
    """``workers.engine.risk.report.Inputs``: holdings, bars, order books."""
    settings = models.JSONField()
    var_snapshot = models.JSONField(null=True)
    """``workers.engine.risk.var_snapshot.VarSnapshot``: null while there is too little history."""

    class Meta:
        verbose_name_plural = "risk bases"

    def __str__(self) -> str:
        return f"{self.venue_id} {self.at.isoformat()}"
