"""Small charts as SVG text: no script, no network, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from workers.backtest.stats import Floats, Ints

WIDTH: Final = 1000
LEFT: Final = 74
RIGHT: Final = 10
TOP: Final = 10
BOTTOM: Final = 24
MOST_POINTS: Final = 1200
COLOURS: Final = ("#2f6fed", "#8a94a6", "#1f9d61", "#d9822b")
BAD: Final = "#d0393e"


class Line(NamedTuple):
    """One line of a chart; with ``filled`` the area to zero is drawn."""

    name: str
    values: Floats
    filled: bool = False


class Dots(NamedTuple):
    """Single points over a chart."""

    name: str
    times: Ints
    values: Floats
    colour: str = BAD


def thin(times: Ints, values: Floats) -> tuple[Ints, Floats]:
    """At most ``MOST_POINTS`` points that keep every extreme: the lowest and the highest of each stretch."""
    if len(values) <= MOST_POINTS:
        return times, values
    edges = np.linspace(0, len(values), MOST_POINTS // 2 + 1).astype(int)
    kept: list[int] = []
    for first, last in pairwise(edges.tolist()):
        stretch = values[first:last]
        kept += sorted({first + int(np.argmin(stretch)), first + int(np.argmax(stretch))})
    return times[kept], values[kept]


def chart(
    title: str,
    times: Ints,
    lines: Sequence[Line],
    *,
    height: int = 220,
    dots: Sequence[Dots] = (),
    percent: bool = False,
) -> str:
    """Lines over time with a scale on the left and dates below; what cannot be drawn (nan) is left out."""
    values = np.concatenate([line.values for line in lines] + [dot.values for dot in dots])
    values = values[np.isfinite(values)]
    if not len(values) or len(times) < 2:
        return f"<figure><figcaption>{escape(title)}</figcaption><p>Nothing to draw.</p></figure>"
    low, high = float(values.min()), float(values.max())
    if any(line.filled for line in lines):
        low, high = min(low, 0.0), max(high, 0.0)
    if high == low:
        low, high = low - 1.0, high + 1.0
    scale = _Scale(int(times[0]), int(times[-1]), low, high, height)
    body = [scale.grid(percent=percent)]
    for number, line in enumerate(lines):
        body.append(_line(line, times, scale, COLOURS[number % len(COLOURS)]))
    for dot in dots:
        points = zip(dot.times.tolist(), dot.values.tolist(), strict=True)
        body += [
            f'<circle cx="{scale.x(t):.1f}" cy="{scale.y(v):.1f}" r="2.5" fill="{dot.colour}"/>' for t, v in points
        ]
    key = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in [
            *((line.name, COLOURS[number % len(COLOURS)]) for number, line in enumerate(lines)),
            *((dot.name, dot.colour) for dot in dots),
        ]
    )
    described = f"{title}: from {_text(low, percent=percent)} to {_text(high, percent=percent)}"
    return (
        f"<figure><figcaption>{escape(title)} <small>{key}</small></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img"><title>{escape(described)}</title>'
        f"{''.join(body)}</svg></figure>"
    )


class _Scale(NamedTuple):
    """Times and values to places."""

    first: int
    last: int
    low: float
    high: float
    height: int

    def x(self, at: int) -> float:
        return LEFT + (at - self.first) / max(self.last - self.first, 1) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / (self.high - self.low) * (self.height - TOP - BOTTOM)

    def grid(self, *, percent: bool) -> str:
        parts = []
        for step in range(5):
            value = self.low + (self.high - self.low) * step / 4
            y = self.y(value)
            parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="g"/>')
            parts.append(
                f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_text(value, percent=percent)}</text>'
            )
        form = "%Y-%m-%d" if self.last - self.first > 3 * 86_400 * 10**9 else "%m-%d %H:%M"
        for step in range(5):
            at = self.first + (self.last - self.first) * step // 4
            anchor = ("start", "middle", "middle", "middle", "end")[step]
            words = pd.Timestamp(at, tz="UTC").strftime(form)
            parts.append(f'<text x="{self.x(at):.1f}" y="{self.height - 6}" text-anchor="{anchor}">{words}</text>')
        return "".join(parts)


def _line(line: Line, times: Ints, scale: _Scale, colour: str) -> str:
    known = np.isfinite(line.values)
    at, values = thin(times[known], line.values[known])
    points = [f"{scale.x(t):.1f},{scale.y(v):.1f}" for t, v in zip(at.tolist(), values.tolist(), strict=True)]
    if not points:
        return ""
    drawn = f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.4"/>'
    if not line.filled:
        return drawn
    zero = f"{scale.y(0.0):.1f}"
    area = f"{points[0].split(',')[0]},{zero} {' '.join(points)} {points[-1].split(',')[0]},{zero}"
    return f'<polygon points="{area}" fill="{colour}" opacity="0.18"/>{drawn}'


def _text(value: float, *, percent: bool) -> str:
    if percent:
        return f"{value * 100:.2f} %"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
