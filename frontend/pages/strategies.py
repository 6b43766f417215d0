"""Strategies: what is registered, with which parameters; what runs now, and what it made."""

from __future__ import annotations

from frontend.components import Column, panel, table
from frontend.elements import Element, html
from frontend.pages.view import PageView


def layout(_view: PageView) -> Element:
    """What runs above, what could run below."""
    return html.Div(html.Div([running(), registered()], className="grid"))


def running() -> Element:
    return panel(
        "Running now",
        html.Div(**{"data-widget": "strategy-running"}),
        id="strategy-running",
        topic="deployments",
    )


def registered() -> Element:
    columns = [
        Column("Strategy"),
        Column("What it does", priority=2),
        Column("Hears", priority=3),
        Column("Parameters", number=True),
        Column("From", priority=2),
        Column("State"),
    ]
    return panel("Registered", table("strategies", "Strategies", columns), id="strategies")
