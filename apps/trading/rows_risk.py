"""Public rows of risk reports; topic ``risk_report``, key the venue."""

from __future__ import annotations

from typing import Any

from apps.trading.models import RiskReport
from apps.trading.rows import amount, stamp


def report_row(report: RiskReport) -> dict[str, Any]:
    """The whole report with how the one before it turned out; ``version`` grows with time."""
    return {
        **report.body,
        "at": stamp(report.at),
        "equity": amount(report.equity),
        "var_limit": amount(report.var_limit),
        "pnl": amount(report.pnl),
        "breach": report.breach,
        "version": int(report.at.timestamp()),
    }
