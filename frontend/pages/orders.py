"""Positions, and orders by what became of them."""

from __future__ import annotations

from dash import html

from frontend.components import Column, choices, panel, table
from frontend.pages.view import PageView

TABS = [("working", "Working"), ("done", "Done"), ("rejected", "Rejected"), ("fills", "Fills")]


def layout(view: PageView) -> html.Div:
    """Positions above; below one list at a time, and a drawer for one order."""
    asked = view.query.get("tab", "")
    chosen = asked if asked in dict(TABS) else "done"
    return html.Div(html.Div([positions(), order_list(chosen)], className="grid"))


def positions() -> html.Section:
    columns = [
        Column("Symbol"),
        Column("Quantity", number=True),
        Column("Average", number=True, priority=3),
        Column("Mark", number=True, priority=2),
        Column("Value", number=True),
        Column("Unrealised", number=True),
        Column("Realised", number=True, priority=2),
        Column("Feed", number=True, priority=2),
    ]
    return panel("Positions", table("positions", "Positions", columns), id="positions", topic="positions")


def order_list(chosen: str) -> html.Section:
    columns = [
        Column("Time"),
        Column("Symbol"),
        Column("Side"),
        Column("Type", priority=3),
        Column("Quantity", number=True),
        Column("Filled", number=True, priority=2),
        Column("Price", number=True, priority=2),
        Column("State"),
        Column("Why", priority=3),
    ]
    return panel(
        "Orders",
        table("orders", "Orders", columns, rows=8),
        id="orders",
        topic="orders",
        actions=[choices("tab", "Which orders", TABS, chosen)],
    )
