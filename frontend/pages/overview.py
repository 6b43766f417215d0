"""The desk at a glance."""

from __future__ import annotations

from typing import Any

from frontend.charts import DEFAULT_RANGE
from frontend.components import POSITIONS, Column, graph, kpi, panel, table
from frontend.elements import Element, dcc, html
from frontend.pages.view import PageView


def layout(_view: PageView) -> Element:
    """Figures; what the desk earns, holds and does at the left; what needs attention and its limits at the right."""
    left = html.Div([live_pnl(), positions(), *activity()], className="main-column")
    right = html.Div([incidents(), deployment(), limits(), latency()], className="stack side-column")
    return html.Div([figures(), html.Div([left, right], className="columns")])


def figures() -> Element:
    return html.Div(
        [
            kpi("equity", "Equity", "/pnl/"),
            kpi("day_pnl", "Day P&L", "/pnl/"),
            kpi("gross", "Gross exposure", "/orders/"),
            kpi("feed", "Feed age"),
            kpi("orders", "Orders", "/orders/?tab=working"),
            kpi("rejects", "Rejected", "/orders/?tab=rejected"),
            kpi("incidents", "Open incidents", "/incidents/?state=open"),
            kpi("latency", "Order path p99"),
        ],
        className="kpis",
        role="group",
        **{"aria-label": "Key figures", "data-widget": "kpis"},
    )


def live_pnl() -> Element:
    return panel(
        "Live net P&L",
        dcc.Store(id="overview-range", data=DEFAULT_RANGE),
        graph("overview-chart", "Net profit and loss over the last hour", height=236, live="net"),
        id="pnl-panel",
        topic="pnl",
    )


def incidents() -> Element:
    columns = [Column("Severity"), Column("Incident"), Column("Age", number=True), Column("Action", number=True)]
    return panel(
        "Open incidents", table("open-incidents", "Open incidents", columns), id="open-incidents", topic="incidents"
    )


def positions() -> Element:
    return panel("Positions", table("positions", "Positions", POSITIONS), id="positions", topic="positions")


def deployment() -> Element:
    return panel("Deployment", html.Div(**{"data-widget": "deployment"}), id="deployment", topic="deployments")


def limits() -> Element:
    return panel("Limits in use", html.Div(**{"data-widget": "limits"}), id="limits", topic="risk")


def latency() -> Element:
    return panel("Order path", html.Div(**{"data-widget": "latency"}), id="latency", topic="latency")


def activity() -> list[Any]:
    """Four boxes, two and two."""
    orders = [
        Column("Time"),
        Column("Symbol"),
        Column("Side"),
        Column("Quantity", number=True),
        Column("Limit", number=True, priority=2),
        Column("State"),
    ]
    fills = [*orders[:4], Column("Price", number=True), Column("Fee", number=True, priority=3)]
    processes = [
        Column("Process"),
        Column("State"),
        Column("Last seen", number=True),
        Column("Restarts", number=True),
    ]
    fleet = html.Div(**{"data-widget": "fleet"})
    return [
        panel(
            "Recent orders", table("recent-orders", "Recent orders", orders), id="recent-orders", topic="orders", span=6
        ),
        panel("Recent fills", table("recent-fills", "Recent fills", fills), id="recent-fills", topic="fills", span=6),
        panel("Processes", table("processes", "Processes", processes), id="processes", topic="system", span=6),
        panel("Fleet and models", fleet, id="fleet", topic="fleet", span=6),
    ]
