"""Rebalances: asking for a book, what was proposed and why, approving it, and what became of its trades."""

from __future__ import annotations

import json
from typing import Final

from apps.accounts.permissions import Capability
from frontend.components import Column, panel, table
from frontend.elements import Element, html
from frontend.pages.view import PageView
from workers.engine.portfolio.policy import METHODS

TOPIC: Final = "rebalances"


def layout(view: PageView) -> Element:
    """The proposal with its trades beside the form and the standing policy; all runs below."""
    asking = [wish()] if view.may(Capability.REBALANCE_RUN) else []
    return html.Div(
        [
            panel("Proposal", html.Div(**{"data-widget": "rebalance"}), id="rebalance", topic=TOPIC, span=8),
            html.Div([*asking, standing()], className="stack span-4"),
            runs(),
        ],
        className="grid",
    )


def wish() -> Element:
    """What to compute. Everything that is left out has the default that docs/portfolio.md gives."""
    form = html.Div(**{"data-widget": "rebalance-form", "data-methods": json.dumps(METHODS)})
    return panel("Ask for a book", form, id="rebalance-form")


def standing() -> Element:
    return panel(
        "Standing policy", html.Div(**{"data-widget": "rebalance-schedule"}), id="rebalance-schedule", topic=TOPIC
    )


def runs() -> Element:
    columns = [
        Column("Asked"),
        Column("Method"),
        Column("State"),
        Column("Trades", number=True),
        Column("Fees", number=True, priority=2),
        Column("By", priority=2),
        Column("Outcome", priority=3),
    ]
    return panel(
        "Runs",
        table("rebalances", "Rebalances", columns),
        id="rebalances",
        topic=TOPIC,
    )
