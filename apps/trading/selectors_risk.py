"""Reading risk reports and what they were made of."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from django.db.models import Q, QuerySet

from apps.core.errors import NotFound
from apps.policies.selectors import active_limits
from apps.trading import rows
from apps.trading.domain import risk as rules
from apps.trading.models import Balance, Position, RiskBasis, RiskReport
from apps.trading.rows_risk import report_row
from workers.engine.risk.report import Inputs, Settings
from workers.engine.risk.var_snapshot import VarSnapshot

COMPARED: Final = 1000
"""Comparisons of value at risk and result that the backtests look at."""
MAX_POINTS: Final = 1500
DEFAULT_SPAN: Final = timedelta(hours=24)
BREACHES: Final = 50


def reports(venue: str | None = None) -> QuerySet[RiskReport]:
    """Reports, newest first."""
    found = RiskReport.objects.order_by("-at", "-id")
    return found if venue is None else found.filter(venue_id=venue)


def latest_report(venue: str) -> RiskReport:
    """The newest report; NotFound before the first."""
    found = reports(venue).first()
    if found is None:
        raise NotFound(f"no risk report of {venue!r} yet; the control worker makes one a minute")
    return found


def previous_basis(venue: str) -> Inputs | None:
    """What the newest report was made of; None before the first."""
    basis = RiskBasis.objects.filter(venue_id=venue).first()
    return None if basis is None else msgspec.convert(basis.inputs, Inputs, strict=False)


def basis(venue: str) -> tuple[Inputs, Settings]:
    """What the newest report was made of, with the positions and the cash of now; NotFound before the first."""
    found = RiskBasis.objects.filter(venue_id=venue).first()
    if found is None:
        raise NotFound(f"no risk report of {venue!r} yet; the control worker makes one a minute")
    inputs = msgspec.convert(found.inputs, Inputs, strict=False)
    held = dict(Position.objects.filter(venue_id=venue).values_list("symbol", "quantity"))
    return rules.moved(inputs, held, cash_of(venue, inputs.quote)), msgspec.convert(found.settings, Settings)


def cash_of(venue: str, quote: str) -> Decimal:
    """Balance of the quote asset, at all execution venues of the account together; 0 before the first session."""
    held = Q(asset=quote) | Q(asset__startswith=f"{quote}@")
    return sum(Balance.objects.filter(held, venue_id=venue).values_list("total", flat=True), Decimal(0))


def var_snapshot(venue: str) -> VarSnapshot | None:
    """The newest covariance for the gate's value at risk; None while there is too little history."""
    found = RiskBasis.objects.filter(venue_id=venue).first()
    if found is None or found.var_snapshot is None:
        return None
    return msgspec.convert(found.var_snapshot, VarSnapshot)


def var_limit() -> Decimal | None:
    """The published limit on value at risk; None where the limits name none."""
    active = active_limits()
    limit = active["limits"].get("max_var") if active else None
    return None if limit is None else Decimal(limit)


def var_settings() -> Settings:
    """Confidence and horizon as the published limits want them, else 99 % over a day."""
    active = active_limits()
    limits = active["limits"] if active else {}
    chosen: dict[str, Any] = {}
    if "var_confidence" in limits:
        chosen["confidence"] = float(Decimal(str(limits["var_confidence"])))
    if "var_horizon_s" in limits:
        chosen["horizon_ns"] = int(limits["var_horizon_s"]) * 1_000_000_000
    return Settings(**chosen)


def coverage(venue: str, confidence: float) -> dict[str, Any]:
    """Backtests over the newest comparisons at ``confidence``, with the exceedances."""
    compared = reports(venue).filter(breach__isnull=False, confidence=confidence)
    flags = list(compared.values_list("breach", flat=True)[:COMPARED])[::-1]
    listed = compared.filter(breach=True).values_list("at", "pnl")[:BREACHES]
    exceedances = [{"at": rows.stamp(at), "pnl": rows.amount(pnl)} for at, pnl in listed]
    return {**rules.coverage([bool(flag) for flag in flags], confidence), "exceedances": exceedances}


def history(venue: str, *, start: datetime | None, end: datetime, points: int = MAX_POINTS) -> dict[str, Any]:
    """Columns over [start, end), at most ``points``: thinned evenly, but every breach and the newest stay."""
    since = end - DEFAULT_SPAN if start is None else start
    found = list(reports(venue).filter(at__gte=since, at__lt=end).order_by("at", "id").defer("body"))
    step = max(1, -(-len(found) // max(points, 1)))
    kept = [one for i, one in enumerate(found) if i % step == 0 or one.breach or i == len(found) - 1]
    return {
        "venue": venue,
        "total": len(found),
        "at": [one.at.isoformat() for one in kept],
        "var": [rows.amount(one.var) for one in kept],
        "es": [rows.amount(one.es) for one in kept],
        "var_limit": [rows.amount(one.var_limit) for one in kept],
        "step_var": [rows.amount(one.step_var) for one in kept],
        "pnl": [rows.amount(one.pnl) for one in kept],
        "breach": [one.breach for one in kept],
    }


def snapshot(venue: str) -> list[tuple[str, dict[str, Any]]]:
    """The newest report, for a client of ``risk_report``."""
    return [(report.venue_id, report_row(report)) for report in reports(venue)[:1]]
