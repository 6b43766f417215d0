"""Charts: what is drawn of a series, where gaps are, and where executions stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from frontend import figures, risk_charts
from frontend.moments import Moment

START = datetime(2026, 1, 5, 9, tzinfo=UTC)


def series(*seconds: float, realised: str = "10", unrealised: str = "-2.5", fees: str = "1") -> dict[str, Any]:
    count = len(seconds)
    return {
        "at": [(START + timedelta(seconds=second)).isoformat() for second in seconds],
        "realised": [realised] * count,
        "unrealised": [unrealised] * count,
        "fees": [fees] * count,
        "drawdown": ["3"] * count,
    }


def fill(side: str, second: float) -> dict[str, Any]:
    at = (START + timedelta(seconds=second)).isoformat()
    return {"side": side, "executed_at": at, "quantity": "1", "symbol": "BTCUSDT", "price": "100"}


def test_net_is_realised_and_unrealised_less_fees() -> None:
    figure = figures.pnl(series(0, 5, 10))
    assert [trace["name"] for trace in figure["data"]] == ["Net", "Realised", "Unrealised", "Fees", "Buys", "Sells"]
    assert figure["data"][0]["y"] == [6.5, 6.5, 6.5]


def test_a_gap_is_drawn_as_a_gap() -> None:
    trace = figures.pnl(series(0, 5, 10, 15, 600, 605), parts=False)["data"][0]
    assert trace["y"] == [6.5, 6.5, 6.5, 6.5, None, 6.5, 6.5]
    assert trace["connectgaps"] is False


def test_a_series_of_wide_steps_has_no_gaps() -> None:
    trace = figures.pnl(series(*range(0, 3600, 60)), parts=False)["data"][0]
    assert None not in trace["y"]


def test_nothing_recorded_draws_nothing() -> None:
    assert figures.pnl(series())["data"][0]["y"] == []
    assert figures.pnl(series(), [fill("BUY", 4)])["data"][-2]["x"] == []
    assert figures.drawdown(series())["data"][0]["y"] == []


def test_executions_stand_on_the_line_and_sides_differ_in_shape() -> None:
    buys, sells = figures.pnl(series(0, 5, 10), [fill("BUY", 4), fill("SELL", 99)])["data"][-2:]
    assert (buys["name"], buys["y"], buys["marker"]["symbol"]) == ("Buys", [6.5], "triangle-up")
    assert (sells["name"], sells["y"], sells["marker"]["symbol"]) == ("Sells", [6.5], "triangle-down")


def test_drawdown_is_under_zero() -> None:
    assert figures.drawdown(series(0, 5))["data"][0]["y"] == [-3.0, -3.0]


@given(st.lists(st.floats(0.1, 1e5), min_size=1, max_size=60))
def test_no_recorded_point_is_lost_or_moved(steps: list[float]) -> None:
    at, now = [], START
    for step in steps:
        now += timedelta(seconds=step)
        at.append(now)
    times, values = figures.with_gaps(at, {"Net": [str(n) for n in range(len(at))]})
    kept = [(time, value) for time, value in zip(times, values["Net"], strict=True) if value is not None]
    assert kept == [(moment.isoformat(), float(n)) for n, moment in enumerate(at)]
    assert times == sorted(times, key=datetime.fromisoformat)


def moment(kind: str, second: float, until: float | None = None) -> Moment:
    end = None if until is None else START + timedelta(seconds=until)
    return Moment(kind, START + timedelta(seconds=second), f"{kind} at {second}", end)


def test_what_happened_is_marked_on_the_line_and_a_halt_is_shaded() -> None:
    beside = [moment("halt", 5, 8), moment("deployment", 6), moment("incident", -60)]
    figure = figures.pnl(series(0, 5, 10), (), beside)
    marked = {
        trace["name"]: trace for trace in figure["data"] if trace["name"] in ("Halts", "Deployments", "Incidents")
    }
    assert set(marked) == {"Halts", "Deployments"}
    assert marked["Halts"]["y"] == [figure["data"][0]["y"][1]]
    shades = [shape for shape in figure["layout"]["shapes"] if shape["type"] == "rect"]
    assert [(shade["x0"], shade["x1"]) for shade in shades] == [(beside[0].at.isoformat(), beside[0].until.isoformat())]  # type: ignore[union-attr]  # it has an end
    assert figures.pnl(series(), (), beside)["layout"]["shapes"] == []


def test_compared_lines_are_stepped_and_reach_the_end() -> None:
    at = [START, START + timedelta(seconds=5)]
    end = START + timedelta(seconds=60)
    lines = {"low": (at, [Decimal(0), Decimal(-2)]), "high": (at[:1], [Decimal(3)])}
    traces = figures.compared(lines, [], end)["data"]
    assert [trace["name"] for trace in traces] == ["high", "low"]
    assert {trace["line"]["shape"] for trace in traces} == {"hv"}
    assert traces[1]["y"] == [0.0, -2.0, -2.0]
    assert {trace["x"][-1] for trace in traces} == {end.isoformat()}
    assert figures.compared({}, [], end)["data"] == []


def test_a_single_point_stands_in_minutes_and_a_long_line_fills_its_chart() -> None:
    ends = figures.pnl(series(0))["layout"]["xaxis"]["autorangeoptions"]["include"]
    assert [datetime.fromisoformat(end) - START for end in ends] == [timedelta(minutes=-1), timedelta(minutes=1)]
    assert "autorangeoptions" not in figures.pnl(series(0, 130))["layout"]["xaxis"]


def test_a_report_between_gaps_is_drawn_as_a_point() -> None:
    at = [(START + timedelta(minutes=minute)).isoformat() for minute in (0, 10, 11, 30)]
    line = risk_charts.line(at, "Value at risk", [1.0, 2.0, 3.0, 4.0], "#fff")
    drawn = dict(zip(line["x"], line["marker"]["size"], strict=True))
    assert [drawn[moment] for moment in at] == [5, 0, 0, 5]
