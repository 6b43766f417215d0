"""Charts from the records: P&L lines with gaps and executions, and the drawdown. Pure but for plotly's dicts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import Any, Final

from frontend.moments import Moment

ACCENT: Final = "#4f8ff7"
TEAL: Final = "#1fa77a"
VIOLET: Final = "#a07bea"
AMBER: Final = "#c98a17"
RED: Final = "#dd5b57"
"""Each has at least 3:1 on the dark and on the light ground."""

PINK: Final = "#c86fa0"
OLIVE: Final = "#8c9a2b"
PALETTE: Final = (ACCENT, TEAL, VIOLET, AMBER, PINK, OLIVE)
"""Lines of a chart that compares, in order; those after the last are drawn like it."""

EVENTS: Final = {
    "halt": ("Halts", "x", RED),
    "deployment": ("Deployments", "diamond", VIOLET),
    "incident": ("Incidents", "square", AMBER),
}
"""Trace name, symbol and colour by kind: told apart without colour."""

SERIES: Final = (("Net", ACCENT), ("Realised", TEAL), ("Unrealised", VIOLET), ("Fees", AMBER))
LEAST_GAP: Final = timedelta(seconds=15)
GAP_FACTOR: Final = 5

LEAST_SPAN: Final = timedelta(minutes=2)
"""An axis shows at least this much time, so that a single point does not stand among fractions of a millisecond."""

Column = list[float | None]


def with_gaps(at: Sequence[datetime], columns: Mapping[str, Sequence[str]]) -> tuple[list[str], dict[str, Column]]:
    """Times and values with an empty point where nothing was recorded for a while: a gap is drawn as a gap."""
    steps = [after - before for before, after in pairwise(at)]
    usual = timedelta(seconds=median(step.total_seconds() for step in steps)) if steps else timedelta()
    limit = max(LEAST_GAP, usual * GAP_FACTOR)
    times: list[str] = []
    values: dict[str, Column] = {name: [] for name in columns}
    for index, moment in enumerate(at):
        if index and moment - at[index - 1] > limit:
            times.append((at[index - 1] + limit / 2).isoformat())
            for column in values.values():
                column.append(None)
        times.append(moment.isoformat())
        for name, column in values.items():
            column.append(float(columns[name][index]))
    return times, values


def net_of(series: Mapping[str, Any]) -> list[str]:
    """Realised plus unrealised less fees at each point."""
    parts = zip(series["realised"], series["unrealised"], series["fees"], strict=True)
    return [str(float(realised) + float(unrealised) - float(fees)) for realised, unrealised, fees in parts]


def pnl(
    series: Mapping[str, Any],
    fills: Sequence[Mapping[str, Any]] = (),
    moments: Sequence[Moment] = (),
    *,
    parts: bool = True,
) -> dict[str, Any]:
    """Net P&L, its parts when ``parts``, a mark for each execution and for what happened beside them."""
    at = [datetime.fromisoformat(text) for text in series["at"]]
    columns = {"Net": net_of(series)}
    if parts:
        columns |= {name: series[name.lower()] for name in ("Realised", "Unrealised", "Fees")}
    times, values = with_gaps(at, columns)
    traces = [plain_line(name, colour, times, values[name]) for name, colour in SERIES if name in values]
    if parts:
        # There even when empty: the browser adds executions to them as they come.
        net = [float(value) for value in columns["Net"]]
        traces += [_marks(side, fills if at else (), at, net) for side in ("BUY", "SELL")]
        traces += _events(moments if at else (), at, net)
    return {"data": traces, "layout": {**chart_layout(at, legend=parts), "shapes": _shapes(moments, at)}}


def compared(
    lines: Mapping[str, tuple[Sequence[datetime], Sequence[Decimal]]],
    moments: Sequence[Moment] = (),
    end: datetime | None = None,
) -> dict[str, Any]:
    """One stepped line per key, valued at its executions; the line of the newest value comes first."""
    ordered = sorted(lines.items(), key=lambda item: -item[1][1][-1])
    traces = []
    for number, (name, (at, net)) in enumerate(ordered):
        times = [moment.isoformat() for moment in at]
        values: Column = [float(value) for value in net]
        if end is not None:
            times, values = [*times, end.isoformat()], [*values, values[-1]]
        line = plain_line(name, PALETTE[min(number, len(PALETTE) - 1)], times, values)
        traces.append({**line, "line": {**line["line"], "shape": "hv", "width": 1.6}})
    every = sorted(moment for at, _ in lines.values() for moment in at)
    return {"data": traces, "layout": {**chart_layout(every, legend=True), "shapes": _shapes(moments, every)}}


def drawdown(series: Mapping[str, Any]) -> dict[str, Any]:
    """How far the P&L is below its highest, as a filled area under zero."""
    at = [datetime.fromisoformat(text) for text in series["at"]]
    below = [str(-float(value)) for value in series["drawdown"]]
    times, values = with_gaps(at, {"Drawdown": below})
    line = plain_line("Drawdown", RED, times, values["Drawdown"])
    return {
        "data": [{**line, "fill": "tozeroy", "fillcolor": "rgba(221,91,87,0.16)"}],
        "layout": chart_layout(at, legend=False),
    }


def plain_line(name: str, colour: str, times: list[str], values: Column) -> dict[str, Any]:
    """A line with gaps where a value is None; the one named Net is drawn stronger."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": times,
        "y": values,
        "connectgaps": False,
        "line": {"color": colour, "width": 1.8 if name == "Net" else 1.2},
        "hovertemplate": f"%{{y:,.2f}}<extra>{name}</extra>",
    }


def _marks(
    side: str, fills: Sequence[Mapping[str, Any]], at: Sequence[datetime], net: Sequence[float]
) -> dict[str, Any]:
    """Executions of one side, at the net P&L of their time; triangles tell the sides apart without colour."""
    mine = [fill for fill in fills if fill["side"] == side]
    places = [bisect_left(at, datetime.fromisoformat(fill["executed_at"])) for fill in mine]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "Buys" if side == "BUY" else "Sells",
        "x": [fill["executed_at"] for fill in mine],
        "y": [net[min(place, len(net) - 1)] for place in places],
        "text": [f"{side} {fill['quantity']} {fill['symbol']} at {fill['price']}" for fill in mine],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "symbol": "triangle-up" if side == "BUY" else "triangle-down",
            "size": 8,
            "color": TEAL if side == "BUY" else RED,
        },
    }


def _events(moments: Sequence[Moment], at: Sequence[datetime], net: Sequence[float]) -> list[dict[str, Any]]:
    """What happened, on the net line, one trace a kind; kinds of which nothing happened are left out."""
    traces = []
    for kind, (name, symbol, colour) in EVENTS.items():
        mine = [moment for moment in moments if moment.kind == kind and moment.at >= at[0]]
        if not mine:
            continue
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": [moment.at.isoformat() for moment in mine],
                "y": [net[min(bisect_left(at, moment.at), len(net) - 1)] for moment in mine],
                "text": [moment.text for moment in mine],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": {"symbol": symbol, "size": 9, "color": colour, "line": {"width": 1, "color": colour}},
            }
        )
    return traces


def _shapes(moments: Sequence[Moment], at: Sequence[datetime]) -> list[dict[str, Any]]:
    """A shade for the time that trading was halted, a thin line for everything else."""
    if not at:
        return []
    shapes = []
    for moment in moments:
        if moment.at < at[0]:
            continue
        colour = EVENTS[moment.kind][2]
        common = {"xref": "x", "yref": "paper", "y0": 0, "y1": 1, "layer": "below", "x0": moment.at.isoformat()}
        if moment.kind == "halt":
            until = moment.until or max(at[-1], moment.at)
            shade = {"type": "rect", "fillcolor": colour, "opacity": 0.1, "line": {"width": 0}}
            shapes.append({**common, **shade, "x1": until.isoformat()})
        line = {"color": colour, "width": 1, "dash": "dot"}
        shapes.append({**common, "type": "line", "x1": moment.at.isoformat(), "line": line, "opacity": 0.6})
    return shapes


def room(at: Sequence[datetime]) -> dict[str, Any]:
    """What a time axis needs beside it: nothing, or moments about a short series that it shall reach."""
    if not at or at[-1] - at[0] >= LEAST_SPAN:
        return {}
    middle = at[0] + (at[-1] - at[0]) / 2
    ends = [(middle - LEAST_SPAN / 2).isoformat(), (middle + LEAST_SPAN / 2).isoformat()]
    return {"autorangeoptions": {"include": ends}}


def chart_layout(at: Sequence[datetime] = (), *, legend: bool) -> dict[str, Any]:
    """The look that all charts share: transparent, times below, values at the right. ``at`` are the series' times."""
    axis = {"automargin": True, "zeroline": False, "gridcolor": "rgba(128,140,155,0.18)", "linecolor": "rgba(0,0,0,0)"}
    return {
        "autosize": True,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "font": {"family": "inherit", "size": 11, "color": "#8792a2"},
        "hovermode": "x unified",
        "uirevision": "kept",
        "showlegend": legend,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "xaxis": {**axis, "type": "date", "showgrid": False, **room(at)},
        "yaxis": {**axis, "tickformat": ",.2f", "nticks": 6, "side": "right"},
    }
