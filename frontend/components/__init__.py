"""The few shapes that all pages are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from frontend.elements import Element, dcc, html

DASH: Final = "\u2013"
"""What stands for a value that is not known. Never a zero."""
GRAPH: Final = {"displayModeBar": False, "responsive": True, "scrollZoom": False}


@dataclass(frozen=True)
class Column:
    """A table's column; ``priority`` 2 and 3 give way when the panel is narrow."""

    title: str
    number: bool = False
    priority: int = 1

    @property
    def classes(self) -> str:
        return " ".join(filter(None, ("num" if self.number else "", f"p{self.priority}" if self.priority > 1 else "")))


POSITIONS: Final = (
    Column("Symbol"),
    Column("Quantity", number=True),
    Column("Average", number=True, priority=3),
    Column("Mark", number=True, priority=2),
    Column("Value", number=True),
    Column("Unrealised", number=True),
    Column("Realised", number=True, priority=2),
    Column("Feed", number=True, priority=2),
)


def panel(
    title: str,
    *children: Any,
    id: str,  # noqa: A002 - the name in HTML
    topic: str = "",
    span: int = 12,
    actions: Sequence[Any] = (),
) -> Element:
    """A titled box. With ``topic`` it shows how old its data is and greys out when they are stale."""
    head: list[Any] = [html.H2(title, id=f"{id}-title"), html.Div([*actions], className="panel-actions")]
    data: dict[str, str] = {}
    if topic:
        head.append(html.Span("waiting", className="asof", **{"data-asof": topic}))
        data["data-topic"] = topic
    return html.Section(
        [html.Div(head, className="panel-head"), html.Div([*children], className="panel-body")],
        id=id,
        className=f"panel span-{span}",
        **{"aria-labelledby": f"{id}-title", **data},
    )


def heading(column: Column) -> Element:
    """A column's head; one of buttons has a name for those who hear the page."""
    title = column.title or html.Span("Actions", className="visually-hidden")
    return html.Th(title, scope="col", className=column.classes)


def table(widget: str, caption: str, columns: Sequence[Column], *, rows: int = 4, **more: Any) -> Element:
    """A table that scripts fill; until then it shows that it is loading. ``more`` are attributes of its frame."""
    head = html.Tr([heading(column) for column in columns])
    waiting = html.Tr(html.Td(html.Div(className="skeleton"), colSpan=len(columns)), className="loading")
    return html.Div(
        html.Table(
            [html.Caption(caption, className="visually-hidden"), html.Thead(head), html.Tbody([waiting] * min(rows, 3))]
        ),
        className="table-scroll",
        tabIndex=0,
        # The panel around it is the landmark of this name.
        role="group",
        **{"aria-label": caption, "data-widget": widget, **more},
    )


def kpi(name: str, title: str, href: str = "", note: str = "") -> Any:
    """One figure. Scripts fill ``value`` and ``note``; the whole tile leads to where it comes from."""
    inner = [
        html.Span(title, className="kpi-title"),
        html.Span(DASH, className="kpi-value", **{"data-value": name}),
        html.Span(note or "\u00a0", className="kpi-note", **{"data-note": name}),
    ]
    data = {"data-kpi": name}
    return html.A(inner, href=href, className="kpi", **data) if href else html.Div(inner, className="kpi", **data)


def graph(id: str, title: str, *, height: int, live: str = "") -> Element:  # noqa: A002 - the name in HTML
    """A chart with a summary in words and its data as a table on demand. ``live`` names how scripts extend it."""
    return html.Div(
        [
            html.Div(
                dcc.Graph(
                    id=id,
                    figure={"data": [], "layout": {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"}},
                    config=GRAPH,
                    responsive=True,
                    style={"height": f"{height}px", "width": "100%"},
                ),
                role="img",
                **{"aria-label": title, "aria-describedby": f"{id}-summary"},
            ),
            html.Div(
                [
                    html.P("Loading the series", id=f"{id}-summary", className="chart-summary"),
                    button("Show as table", **{"data-table-of": id, "aria-expanded": "false"}),
                ],
                className="chart-foot",
            ),
            html.Div(id=f"{id}-table", className="chart-table", hidden=True),
        ],
        className="chart",
        **{"data-widget": "chart", "data-chart": id, "data-live": live},
    )


def button(text: str, kind: str = "quiet", **data: Any) -> Element:
    """A button that scripts listen to."""
    return html.Button(text, type="button", className=f"button {kind}", **data)


def choices(name: str, label: str, options: Sequence[tuple[str, str]], chosen: str) -> Element:
    """A few exclusive choices side by side; scripts keep the one chosen in the address."""
    made = [
        html.Button(
            text,
            type="button",
            className="segment",
            **{"data-choice": value, "aria-pressed": str(value == chosen).lower()},
        )
        for value, text in options
    ]
    return html.Div(
        made,
        className="segments",
        role="group",
        **{"aria-label": label, "data-choices": name, **({"data-widget": name} if name in ("range", "scope") else {})},
    )
