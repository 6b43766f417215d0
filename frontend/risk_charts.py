"""Charts of the risk page: value at risk against its limit, and each step's result against what was foreseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from dash import Input, Output
from django.conf import settings

from apps.core.api.context import context_of
from apps.trading import selectors, selectors_risk
from frontend.figures import ACCENT, AMBER, RED, TEAL, VIOLET, chart_layout
from frontend.requests import current_request

POINTS: Final = 600
LEAST_GAP: Final = timedelta(minutes=5)
Column = list[float | None]


def register(app: Any) -> None:
    """``var-range`` changes with every new report; the server then draws both again."""
    both = Output("var-chart", "figure"), Output("breach-chart", "figure")
    app.callback(*both, Input("var-range", "data"))(draw)


def draw(_version: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    ctx = context_of(current_request())
    selectors.may_view(ctx, "risk_history")
    series = selectors_risk.history(settings.GEKKO_VENUE_NAME, start=None, end=ctx.now(), points=POINTS)
    return against_limit(series), against_results(series)


def against_limit(series: Mapping[str, Any]) -> dict[str, Any]:
    """Value at risk, shortfall and limit. A report without a number is a gap."""
    parts = (("Value at risk", "var", ACCENT), ("Shortfall", "es", VIOLET), ("Limit", "var_limit", AMBER))
    columns = [(title, numbers(series[name]), colour) for title, name, colour in parts]
    shown = [part for part in columns if part[0] != "Limit" or any(value is not None for value in part[1])]
    return {"data": [line(series["at"], *part) for part in shown], "layout": layout(series["at"])}


def against_results(series: Mapping[str, Any]) -> dict[str, Any]:
    """What was foreseen at most to be lost in a step, the step's result, and a cross where it was worse."""
    # A report's result belongs to what the report before it foresaw.
    before: Column = [None, *numbers(series["step_var"])[:-1]] if series["at"] else []
    foreseen: Column = [None if value is None else -value for value in before]
    broken = [i for i, hit in enumerate(series["breach"]) if hit]
    marks = {
        "type": "scatter",
        "mode": "markers",
        "name": "Breaches",
        "x": [series["at"][i] for i in broken],
        "y": [float(series["pnl"][i]) for i in broken],
        "hovertemplate": "%{y:,.2f}<extra>Breach</extra>",
        "marker": {"symbol": "x", "size": 8, "color": RED},
    }
    lines = [
        line(series["at"], "Result", numbers(series["pnl"]), TEAL),
        line(series["at"], "Foreseen at worst", foreseen, AMBER),
    ]
    return {"data": [*lines, marks], "layout": layout(series["at"])}


def numbers(texts: Sequence[str | None]) -> Column:
    return [None if text is None else float(text) for text in texts]


def line(at: Sequence[str], name: str, values: Column, colour: str) -> dict[str, Any]:
    """A line with a hole where no report came for five minutes; a point without a neighbour is drawn as one."""
    times, points = list[str](), list[float | None]()
    for (one, two), value in zip(pairwise([*at, ""]), values, strict=True):
        times.append(one)
        points.append(value)
        if two and datetime.fromisoformat(two) - datetime.fromisoformat(one) > LEAST_GAP:
            times.append((datetime.fromisoformat(one) + LEAST_GAP).isoformat())
            points.append(None)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": times,
        "y": points,
        "connectgaps": False,
        "line": {"color": colour, "width": 1.6},
        "marker": {"color": colour, "size": [5 if lonely else 0 for lonely in alone(points)]},
        "hovertemplate": f"%{{y:,.2f}}<extra>{name}</extra>",
    }


def alone(points: Column) -> list[bool]:
    """Which points no line reaches: known ones between unknown ones."""
    edged = [None, *points, None]
    triples = zip(edged, points, edged[2:], strict=False)
    return [before is None and point is not None and after is None for before, point, after in triples]


def layout(at: Sequence[str]) -> dict[str, Any]:
    return chart_layout([datetime.fromisoformat(text) for text in at], legend=True)
