"""Backtests: ask for one, watch it, put several side by side, open their tear sheets."""

from __future__ import annotations

from apps.accounts.permissions import Capability
from frontend.components import Column, panel, table
from frontend.elements import Element, html
from frontend.pages.view import PageView


def layout(view: PageView) -> Element:
    """The form for those who may run one; what was run; the chosen ones side by side."""
    form = [order()] if view.may(Capability.BACKTEST_RUN) else []
    return html.Div(html.Div([*form, runs(bool(form)), compare()], className="grid"))


def order() -> Element:
    return panel("New backtest", html.Div(**{"data-widget": "backtest-form"}), id="backtest-order", span=4)


def runs(beside: bool) -> Element:
    columns = [
        Column("Compare"),
        Column("Strategy"),
        Column("Data", priority=2),
        Column("State"),
        Column("Return", number=True),
        Column("Sharpe", number=True, priority=2),
        Column("Drawdown", number=True, priority=2),
        Column("Trades", number=True, priority=3),
        Column("Asked", number=True, priority=3),
        Column(""),
    ]
    return panel(
        "Runs",
        table("backtests", "Backtests", columns, rows=8),
        id="backtests",
        topic="backtests",
        span=8 if beside else 12,
    )


def compare() -> Element:
    return panel("Side by side", html.Div(**{"data-widget": "backtest-compare"}), id="backtest-compare")
