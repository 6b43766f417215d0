"""Callbacks that draw charts from the records; what comes after is added live by the browser."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from dash import Input, Output
from django.conf import settings

from apps.core.api.context import context_of
from apps.core.errors import NotFound
from apps.trading import rows, selectors, selectors_pnl
from frontend import figures
from frontend.moments import moments
from frontend.requests import current_request
from workers.engine.accounting.attribution import UNASSIGNED

RANGES: Final[dict[str, timedelta]] = {
    "5m": timedelta(minutes=5),
    "1h": timedelta(hours=1),
    "1d": timedelta(hours=24),
}
DEFAULT_RANGE: Final = "1h"
COMPARED: Final = ("strategy", "instrument")
"""Scopes that are drawn as lines beside each other; desk and venue as the books' own series."""
NOBODYS: Final = {UNASSIGNED: "Not from a strategy"}
MOST_MARKS: Final = 300
EMPTY: Final[dict[str, list[str]]] = {
    name: [] for name in ("at", "equity", "realised", "unrealised", "fees", "drawdown")
}


def register(app: Any) -> None:
    """Charts of the overview and of the P&L page; ``*-range`` says how far back."""

    def overview(chosen: Any) -> dict[str, Any]:
        return figures.pnl(series(chosen)[0], parts=False)

    def pnl_page(chosen: Any, scope: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        found, start = series(chosen)
        ctx = context_of(current_request())
        beside = moments(ctx, start)
        if scope in COMPARED:
            lines = selectors_pnl.scope_lines(settings.GEKKO_VENUE_NAME, scope, start=start, end=ctx.now())
            named = {NOBODYS.get(key, key): line for key, line in lines.items()}
            return figures.compared(named, beside, ctx.now()), figures.drawdown(found)
        return figures.pnl(found, executions(start), beside), figures.drawdown(found)

    both = Output("pnl-chart", "figure"), Output("drawdown-chart", "figure")
    app.callback(Output("overview-chart", "figure"), Input("overview-range", "data"))(overview)
    app.callback(*both, Input("pnl-range", "data"), Input("pnl-scope", "data"))(pnl_page)


def series(chosen: Any) -> tuple[dict[str, Any], datetime]:
    """The recorded series of a range and its start; a name that is no range means the default one."""
    ctx = context_of(current_request())
    selectors.may_view(ctx, "pnl")
    span = RANGES.get(chosen) if isinstance(chosen, str) else None
    now = ctx.now()
    start = now - (span or RANGES[DEFAULT_RANGE])
    try:
        return selectors.pnl_series(settings.GEKKO_VENUE_NAME, start=start, end=now), start
    except NotFound:
        return dict(EMPTY), start


def executions(start: datetime) -> list[dict[str, Any]]:
    """The newest executions since ``start``, as rows."""
    found = selectors.fills(settings.GEKKO_VENUE_NAME).filter(executed_at__gte=start)[:MOST_MARKS]
    return [rows.fill_row(fill) for fill in found]
