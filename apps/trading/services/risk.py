"""Writing risk reports: derived rows, published as they are made, kept for a month."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from django.db import transaction

from apps.core import outbox
from apps.core.context import Context
from apps.core.dispatch import send_after_commit
from apps.trading.domain import risk as rules
from apps.trading.messages import publish_all
from apps.trading.models import RiskBasis, RiskReport
from apps.trading.rows_risk import report_row
from apps.trading.selectors import get_venue
from apps.trading.selectors_risk import coverage, previous_basis, var_limit
from apps.trading.services.projection import signal_message
from workers.engine.risk.report import Inputs, Settings
from workers.engine.risk.var_snapshot import VarSnapshot

KEPT: Final = timedelta(days=30)
WHOLE: Final = timedelta(days=1)
"""Older reports keep the columns of their series, and lose the body."""


@transaction.atomic
def record_report(
    ctx: Context,
    *,
    inputs: Inputs,
    settings: Settings,
    report: dict[str, Any],
    equity: Decimal | None,
    snapshot: VarSnapshot | None,
) -> RiskReport:
    """Keep ``report``, what it was made of, and how the one before it turned out; publish it on ``risk_report``.

    The same moment twice changes nothing. Nobody's decision is in it, so the audit trail does not carry it.
    """
    venue = get_venue(inputs.venue)
    at = datetime.fromtimestamp(inputs.at / 1e9, UTC)
    known = RiskReport.objects.filter(venue=venue, at=at).first()
    if known is not None:
        return known
    before = RiskReport.objects.filter(venue=venue, at__lt=at).order_by("-at").first()
    pnl = rules.result_since(previous_basis(venue.name), inputs, settings.step_ns)
    step = before.step_var if before is not None else None
    made = RiskReport(
        venue=venue,
        at=at,
        status=report["status"],
        confidence=report["confidence"],
        var=rules.decimal_or_none(report["var"]),
        es=rules.decimal_or_none(report["es"]),
        step_var=rules.decimal_or_none(report["step_var"]),
        var_limit=var_limit(),
        gross=Decimal(report["exposure"]["gross"]),
        net=Decimal(report["exposure"]["net"]),
        equity=equity,
        pnl=pnl,
        breach=rules.is_breach(pnl, step),
        body=report,
    )
    made.save()
    made.body = {**report, "backtest": coverage(venue.name, settings.confidence)}
    made.save(update_fields=["body"])
    RiskBasis.objects.update_or_create(
        venue=venue,
        defaults={
            "at": at,
            "inputs": msgspec.to_builtins(inputs),
            "settings": msgspec.to_builtins(settings),
            "var_snapshot": None if snapshot is None else msgspec.to_builtins(snapshot),
        },
    )
    older = RiskReport.objects.filter(venue=venue)
    older.filter(at__lt=at - WHOLE, at__gte=at - 2 * WHOLE).exclude(body={}).update(body={})
    older.filter(at__lt=at - KEPT).delete()
    if snapshot is not None:
        send_after_commit("gekko.execution.take_var", snapshot=msgspec.to_builtins(snapshot))
    _tell_of_limit(ctx, made, before)
    outbox.publish(ctx, topic="risk_report", kind="risk.reported", key=venue.name, data=report_row(made))
    return made


def _tell_of_limit(ctx: Context, made: RiskReport, before: RiskReport | None) -> None:
    """A report above the limit is a sighting for the incidents; the first that is not ends it."""
    was = before is not None and rules.is_above(before.var, before.var_limit)
    above = rules.is_above(made.var, made.var_limit)
    signal = rules.var_signal(made.venue_id, above=above, before=was, var=made.var, limit=made.var_limit)
    if signal is not None:
        publish_all([signal_message(ctx, made.venue_id, signal)])
