"""Incidents: the list, and one in detail beside it."""

from __future__ import annotations

from frontend.components import Column, choices, panel, table
from frontend.elements import Element, html
from frontend.pages.view import PageView

STATES = [("open", "Open"), ("triggered", "Unacknowledged"), ("resolved", "Resolved"), ("all", "All")]


def layout(view: PageView) -> Element:
    """List left, detail right; on a phone one above the other."""
    asked = view.query.get("state", "")
    chosen = asked if asked in dict(STATES) else "open"
    return html.Div(html.Div([listing(chosen), detail()], className="grid"))


def listing(chosen: str) -> Element:
    columns = [
        Column("No.", number=True, priority=2),
        Column("Severity"),
        Column("Incident"),
        Column("State"),
        Column("Count", number=True, priority=2),
        Column("Opened", number=True),
    ]
    return panel(
        "Incidents",
        table("incidents", "Incidents", columns, rows=8),
        id="incidents",
        topic="incidents",
        span=7,
        actions=[choices("state", "Which incidents", STATES, chosen)],
    )


def detail() -> Element:
    return panel("Detail", html.Div(**{"data-widget": "incident-detail"}), id="incident", span=5)
