"""How much may be lost, what of it is allowed, and what an order would change."""

from __future__ import annotations

from typing import Final

from apps.accounts.permissions import Capability
from frontend.components import Column, button, graph, kpi, panel, table
from frontend.elements import Element, dcc, html
from frontend.pages.view import PageView

TOPIC: Final = "risk_report"


def layout(view: PageView) -> Element:
    """Figures; what is halted; limits and value at risk; both over time; stress by position; exposure; what-if."""
    boxes = [halted(view), limits(), methods(), over_time(), results(), stress(), exposure(), coverage(), what_if()]
    return html.Div([figures(), html.Div(boxes, className="grid")])


def figures() -> Element:
    return html.Div(
        [
            kpi("var", "Value at risk"),
            kpi("es", "Expected shortfall"),
            kpi("var_use", "Of the limit"),
            kpi("gross", "Gross exposure"),
            kpi("net", "Net exposure"),
            kpi("largest", "Largest position"),
            kpi("breaches", "Breaches"),
            kpi("age", "Report"),
        ],
        className="kpis",
        role="group",
        **{"aria-label": "Key figures", "data-widget": "risk-kpis"},
    )


def halted(view: PageView) -> Element:
    """Parts of the desk that may not trade, and halting one."""
    columns = [
        Column("What"),
        Column("State"),
        Column("Why", priority=2),
        Column("By", priority=2),
        Column("Since", priority=3),
        Column("", number=True),
    ]
    halting = [button("Halt a part", **{"data-action": "halt-part"})] if view.may(Capability.TRADING_HALT) else []
    return panel(
        "Halted parts",
        table("scope-halts", "Halted parts", columns, rows=1),
        id="scope-halts",
        topic="halts",
        actions=halting,
    )


def limits() -> Element:
    body = html.Div(**{"data-widget": "limits", "data-scopes": "shown"})
    return panel("Limits in use", body, id="limits", topic="risk", span=6)


def methods() -> Element:
    columns = [
        Column("Method"),
        Column("Value at risk", number=True),
        Column("Shortfall", number=True),
        Column("Note", priority=2),
    ]
    return panel(
        "Value at risk",
        html.Div(**{"data-widget": "var-limit"}),
        table("var-methods", "Value at risk and expected shortfall by method", columns),
        id="var-methods",
        topic=TOPIC,
        span=6,
    )


def over_time() -> Element:
    return panel(
        "Value at risk against its limit",
        dcc.Store(id="var-range", data=0),
        chart("var-chart", "Value at risk and its limit over the last day"),
        id="var-panel",
        topic=TOPIC,
        span=6,
    )


def chart(name: str, title: str) -> Element:
    """A chart that the server draws again with every report."""
    made = graph(name, title, height=220)
    setattr(made, "data-widget", "risk-chart")
    return made


def results() -> Element:
    return panel(
        "Results against what was foreseen",
        chart("breach-chart", "Result of each step against its value at risk"),
        id="breach-panel",
        topic=TOPIC,
        span=6,
    )


def stress() -> Element:
    return panel("Stress, by position", html.Div(**{"data-widget": "stress"}), id="stress", topic=TOPIC)


def exposure() -> Element:
    columns = [
        Column("Position"),
        Column("Value", number=True),
        Column("Share", number=True),
        Column("Part of the risk", number=True),
        Column("Alone", number=True, priority=2),
    ]
    return panel(
        "Exposure",
        html.Div(**{"data-widget": "exposure"}),
        table("components", "Exposure and part of the value at risk by position", columns),
        id="exposure",
        topic=TOPIC,
        span=6,
    )


def coverage() -> Element:
    return panel("Was it right?", html.Div(**{"data-widget": "coverage"}), id="coverage", topic=TOPIC, span=6)


def what_if() -> Element:
    return panel("What if", html.Div(**{"data-widget": "what-if"}), id="what-if")
