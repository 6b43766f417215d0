"""Profit and loss over time and by scope."""

from __future__ import annotations

from frontend.charts import DEFAULT_RANGE, RANGES
from frontend.components import Column, choices, graph, kpi, panel, table
from frontend.elements import Element, dcc, html
from frontend.pages.view import PageView

WORDS = {"5m": "5 min", "1h": "1 hour", "1d": "24 hours"}
SCOPES = {"desk": "Desk", "strategy": "Strategy", "instrument": "Instrument", "venue": "Venue"}
DEFAULT_SCOPE = "desk"


def layout(view: PageView) -> Element:
    """Figures; lines with executions and events; drawdown, and who earned what."""
    asked, scope = view.query.get("range", ""), view.query.get("scope", "")
    chosen = asked if asked in RANGES else DEFAULT_RANGE
    chosen_scope = scope if scope in SCOPES else DEFAULT_SCOPE
    boxes = [lines(chosen, chosen_scope), drawdown(), attribution(chosen_scope)]
    return html.Div([figures(), html.Div(boxes, className="grid")])


def figures() -> Element:
    return html.Div(
        [
            kpi("equity", "Equity"),
            kpi("pnl", "Net P&L"),
            kpi("day_pnl", "Day P&L"),
            kpi("realised", "Realised"),
            kpi("unrealised", "Unrealised"),
            kpi("fees", "Fees"),
            kpi("drawdown", "Drawdown"),
            kpi("fills", "Fills"),
        ],
        className="kpis",
        role="group",
        **{"aria-label": "Key figures", "data-widget": "kpis"},
    )


def lines(chosen: str, scope: str) -> Element:
    return panel(
        "P&L",
        dcc.Store(id="pnl-range", data=chosen),
        dcc.Store(id="pnl-scope", data=scope),
        graph("pnl-chart", "Net, realised and unrealised profit and fees", height=340, live="parts"),
        id="pnl-panel",
        topic="pnl",
        actions=[
            choices("scope", "Scope", list(SCOPES.items()), scope),
            choices("range", "Range", list(WORDS.items()), chosen),
        ],
    )


def attribution(scope: str) -> Element:
    """Since the books began, by the chosen scope."""
    columns = [
        Column(SCOPES[scope]),
        Column("Net", number=True),
        Column("Realised", number=True, priority=2),
        Column("Unrealised", number=True, priority=2),
        Column("Fees", number=True),
        Column("Funding", number=True, priority=3),
    ]
    return panel(
        "Attribution",
        table("attribution", "Result by scope since the books began", columns),
        id="attribution",
        topic="pnl",
        span=7,
    )


def drawdown() -> Element:
    return panel(
        "Drawdown from the peak",
        graph("drawdown-chart", "Drawdown from the highest profit", height=160, live="drawdown"),
        id="drawdown-panel",
        topic="pnl",
        span=5,
    )
