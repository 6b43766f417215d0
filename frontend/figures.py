"""Charts from the records: P&L lines with gaps and executions, and the drawdown. Pure but for plotly's dicts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any, Final

ACCENT: Final = "#4f8ff7"
TEAL: Final = "#1fa77a"
VIOLET: Final = "#a07bea"
AMBER: Final = "#c98a17"
RED: Final = "#dd5b57"
"""Each has at least 3:1 on the dark and on the light ground."""

SERIES: Final = (("Net", ACCENT), ("Realised", TEAL), ("Unrealised", VIOLET), ("Fees", AMBER))
LEAST_GAP: Final = timedelta(seconds=15)
GAP_FACTOR: Final = 5

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


def pnl(series: Mapping[str, Any], fills: Sequence[Mapping[str, Any]] = (), *, parts: bool = True) -> dict[str, Any]:
    """Net P&L, its parts when ``parts``, and a mark for each execution."""
    at = [datetime.fromisoformat(text) for text in series["at"]]
    columns = {"Net": net_of(series)}
    if parts:
        columns |= {name: series[name.lower()] for name in ("Realised", "Unrealised", "Fees")}
    times, values = with_gaps(at, columns)
    traces = [_line(name, colour, times, values[name]) for name, colour in SERIES if name in values]
    if parts:
        # There even when empty: the browser adds executions to them as they come.
        net = [float(value) for value in columns["Net"]]
        traces += [_marks(side, fills if at else (), at, net) for side in ("BUY", "SELL")]
    return {"data": traces, "layout": _layout(legend=parts)}


def drawdown(series: Mapping[str, Any]) -> dict[str, Any]:
    """How far the P&L is below its highest, as a filled area under zero."""
    at = [datetime.fromisoformat(text) for text in series["at"]]
    below = [str(-float(value)) for value in series["drawdown"]]
    times, values = with_gaps(at, {"Drawdown": below})
    line = _line("Drawdown", RED, times, values["Drawdown"])
    return {"data": [{**line, "fill": "tozeroy", "fillcolor": "rgba(221,91,87,0.16)"}], "layout": _layout(legend=False)}


def _line(name: str, colour: str, times: list[str], values: Column) -> dict[str, Any]:
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


def _layout(*, legend: bool) -> dict[str, Any]:
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
        "xaxis": {**axis, "type": "date", "showgrid": False},
        "yaxis": {**axis, "tickformat": ",.2f", "nticks": 6, "side": "right"},
    }
