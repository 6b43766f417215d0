"""Positions, and orders by what became of them."""

from __future__ import annotations

from dataclasses import replace

from apps.accounts.permissions import Capability
from frontend.components import POSITIONS, Column, button, choices, panel, table
from frontend.elements import Element, html
from frontend.pages.view import PageView

TABS = [("working", "Working"), ("done", "Done"), ("rejected", "Rejected"), ("fills", "Fills")]


def layout(view: PageView) -> Element:
    """Positions above; below one list at a time, and a drawer for one order."""
    asked = view.query.get("tab", "")
    chosen = asked if asked in dict(TABS) else "done"
    boxes = [positions(view), parents(view), order_list(view, chosen), balances()]
    return html.Div(html.Div(boxes, className="grid"))


def positions(view: PageView) -> Element:
    """Positions; who may order can close one of them or all."""
    may = view.may(Capability.TRADING_ORDER)
    # The button must be in reach on a phone: the value gives way to it.
    narrow = [
        replace(column, priority=max(column.priority, 2 if column.title == "Value" else 1)) for column in POSITIONS
    ]
    columns = [*narrow, Column("", number=True)] if may else POSITIONS
    closing = [button("Flatten all", **{"data-action": "flatten-all"})] if may else []
    return panel(
        "Positions",
        table("positions", "Positions", columns, rows=4, **{"data-closing": "yes" if may else "no"}),
        id="positions",
        topic="positions",
        actions=closing,
    )


def parents(view: PageView) -> Element:
    """Parent orders with their progress against the schedule; a drawer tells of one and its children."""
    columns = [
        Column("Time", priority=2),
        Column("Symbol"),
        Column("Side"),
        Column("Algorithm", priority=2),
        Column("Quantity", number=True),
        Column("Done"),
        Column("Average", number=True, priority=3),
        Column("State"),
        Column("Why", priority=3),
    ]
    asking = [button("New parent order", **{"data-action": "new-parent"})] if view.may(Capability.TRADING_ORDER) else []
    return panel(
        "Parent orders",
        table("parents", "Parent orders", columns, rows=3),
        id="parents",
        topic="parents",
        actions=asking,
    )


def order_list(view: PageView, chosen: str) -> Element:
    columns = [
        Column("Time", priority=2),
        Column("Symbol"),
        Column("Side"),
        Column("Type", priority=3),
        Column("Quantity", number=True),
        Column("Filled", number=True, priority=2),
        Column("Limit", number=True),
        Column("Average", number=True, priority=2),
        Column("State"),
        Column("Why", priority=3),
    ]
    fills = [
        Column("Time", priority=2),
        Column("Symbol"),
        Column("Side"),
        Column("Quantity", number=True),
        Column("Price", number=True),
        Column("Value", number=True, priority=3),
        Column("Fee", number=True, priority=2),
        Column("Liquidity", priority=2),
    ]
    may = view.may(Capability.TRADING_CANCEL)
    cancelling = [button("Cancel open orders", **{"data-action": "cancel-all"})] if may else []
    return panel(
        "Orders",
        table("orders", "Orders", columns, rows=8, hidden=chosen == "fills"),
        # The orders' script fills it: one list is shown at a time.
        table("order-fills", "Fills", fills, rows=8, hidden=chosen != "fills", **{"data-list": "fills"}),
        id="orders",
        topic="orders",
        actions=[*cancelling, choices("tab", "Which orders", TABS, chosen)],
    )


def balances() -> Element:
    """What we hold by our books, and whether the venue says the same."""
    columns = [
        Column("Asset"),
        Column("By our books", number=True),
        Column("At the venue", number=True, priority=2),
        Column("Difference", number=True, priority=2),
        Column("State"),
        Column("Compared", priority=3),
        Column("", number=True),
    ]
    return panel("Balances", table("balances", "Balances", columns, rows=3), id="balances")
