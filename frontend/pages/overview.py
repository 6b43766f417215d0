"""The desk at a glance."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from frontend.charts import DEFAULT_RANGE
from frontend.components import Column, graph, kpi, panel, table
from frontend.pages.view import PageView


def layout(_view: PageView) -> html.Div:
    """Figures, live P&L, what needs a person, then what the desk holds and does."""
    return html.Div([figures(), html.Div([*money(), *activity(), *machines()], className="grid")])


def figures() -> html.Div:
    return html.Div(
        [
            kpi("equity", "Equity", "/pnl/"),
            kpi("day_pnl", "Day P&L", "/pnl/"),
            kpi("gross", "Gross exposure", "/orders/"),
            kpi("feed", "Feed age"),
            kpi("orders", "Orders", "/orders/?tab=working"),
            kpi("rejects", "Rejected", "/orders/?tab=rejected"),
            kpi("incidents", "Open incidents", "/incidents/?state=open"),
            kpi("latency", "Internal p99"),
        ],
        className="kpis",
        role="group",
        **{"aria-label": "Key figures", "data-widget": "kpis"},
    )


def money() -> list[Any]:
    return [
        panel(
            "Live net P&L",
            dcc.Store(id="overview-range", data=DEFAULT_RANGE),
            graph("overview-chart", "Net profit and loss over the last hour", height=236, live="net"),
            id="pnl-panel",
            topic="pnl",
            span=8,
        ),
        panel(
            "Open incidents",
            table(
                "open-incidents",
                "Open incidents",
                [Column("Severity"), Column("Incident"), Column("Age", number=True), Column("")],
            ),
            id="open-incidents",
            topic="incidents",
            span=4,
        ),
        panel(
            "Positions",
            table(
                "positions",
                "Positions",
                [
                    Column("Symbol"),
                    Column("Quantity", number=True),
                    Column("Average", number=True, priority=3),
                    Column("Mark", number=True, priority=2),
                    Column("Value", number=True),
                    Column("Unrealised", number=True),
                    Column("Realised", number=True, priority=2),
                    Column("Feed", number=True, priority=2),
                ],
            ),
            id="positions",
            topic="positions",
            span=8,
        ),
        panel("Deployment", html.Div(**{"data-widget": "deployment"}), id="deployment", topic="deployments", span=4),
    ]


def activity() -> list[Any]:
    return [
        panel(
            "Recent orders",
            table(
                "recent-orders",
                "Recent orders",
                [
                    Column("Time"),
                    Column("Symbol"),
                    Column("Side"),
                    Column("Quantity", number=True),
                    Column("Price", number=True, priority=2),
                    Column("State"),
                ],
            ),
            id="recent-orders",
            topic="orders",
            span=4,
        ),
        panel(
            "Recent fills",
            table(
                "recent-fills",
                "Recent fills",
                [
                    Column("Time"),
                    Column("Symbol"),
                    Column("Side"),
                    Column("Quantity", number=True),
                    Column("Price", number=True),
                    Column("Fee", number=True, priority=2),
                ],
            ),
            id="recent-fills",
            topic="fills",
            span=4,
        ),
        panel("Limits in use", html.Div(**{"data-widget": "limits"}), id="limits", topic="risk", span=4),
    ]


def machines() -> list[Any]:
    return [
        panel("Order latency", html.Div(**{"data-widget": "latency"}), id="latency", topic="latency", span=4),
        panel(
            "Processes",
            table(
                "processes",
                "Processes",
                [Column("Process"), Column("State"), Column("Last seen", number=True), Column("Restarts", number=True)],
            ),
            id="processes",
            topic="system",
            span=4,
        ),
        panel("Fleet and models", html.Div(**{"data-widget": "fleet"}), id="fleet", topic="fleet", span=4),
    ]
