"""Profit and loss over time."""

from __future__ import annotations

from frontend.charts import DEFAULT_RANGE, RANGES
from frontend.components import Column, choices, graph, kpi, panel, table
from frontend.elements import Element, dcc, html
from frontend.pages.view import PageView

WORDS = {"5m": "5 min", "1h": "1 hour", "1d": "24 hours"}


def layout(view: PageView) -> Element:
    """Figures, lines with executions, drawdown, and the result by instrument."""
    asked = view.query.get("range", "")
    chosen = asked if asked in RANGES else DEFAULT_RANGE
    return html.Div([figures(), html.Div([lines(chosen), drawdown(), by_symbol()], className="grid")])


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


def lines(chosen: str) -> Element:
    return panel(
        "P&L",
        dcc.Store(id="pnl-range", data=chosen),
        graph("pnl-chart", "Net, realised and unrealised profit and fees", height=340, live="parts"),
        id="pnl-panel",
        topic="pnl",
        actions=[choices("range", "Range", list(WORDS.items()), chosen)],
    )


def drawdown() -> Element:
    return panel(
        "Drawdown from the peak",
        graph("drawdown-chart", "Drawdown from the highest profit", height=160, live="drawdown"),
        id="drawdown-panel",
        topic="pnl",
        span=6,
    )


def by_symbol() -> Element:
    columns = [
        Column("Symbol"),
        Column("Realised", number=True),
        Column("Unrealised", number=True),
        Column("Fees", number=True, priority=2),
        Column("Net", number=True),
    ]
    return panel(
        "By instrument",
        table("pnl-by-symbol", "Result by instrument", columns),
        id="by-symbol",
        topic="positions",
        span=6,
    )
