"""Backtests as the world sees them."""

from __future__ import annotations

from typing import Any

from apps.trading.models.backtests import Backtest


def backtest_row(run: Backtest) -> dict[str, Any]:
    """The public row: of the live topic, of the API and of the audit trail alike."""
    return {
        "id": str(run.pk),
        "kind": run.kind,
        "search": str(run.search_id) if run.search_id else None,
        "number": run.number,
        "strategy": run.strategy,
        "params": run.params,
        "data": run.data,
        "settings": run.settings,
        "state": run.state,
        "cancel_requested": run.cancel_requested,
        "progress": round(run.progress, 4),
        "detail": run.detail,
        "inputs": run.inputs,
        "fingerprint": run.fingerprint,
        "summary": run.summary,
        "score": run.score,
        "has_sheet": run.state == "done" and run.kind == "run",
        "requested_by": run.requested_by,
        "requested_at": _iso(run.requested_at),
        "started_at": _iso(run.started_at),
        "finished_at": _iso(run.finished_at),
        "version": run.version,
    }


def _iso(at: Any) -> str | None:
    return at.isoformat() if at is not None else None
