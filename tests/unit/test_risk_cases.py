"""Published results of risk measures and of their backtests, case by case, within the tolerance that each names."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workers.engine.risk.measures import backtest, drawdown, entropic, performance, portfolio, tail, volatility
from workers.engine.risk.measures.conventions import Floats, Sigma, Tail

Case = dict[str, Any]
TOPICS = {"risk", "volatility", "backtest", "sizing"}


@cache
def table(path: Path) -> dict[str, Floats]:
    """Numeric columns of a CSV file by name, what is empty as NaN; the first column is the date."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    first, *lines = raw.decode().splitlines()
    names = first.split(",")
    rows = [[float(cell or "nan") for cell in line.split(",")[1:]] for line in lines]
    return dict(zip(names[1:], np.array(rows).T, strict=True))


def series_of(folder: Path, case: Case) -> Floats:
    return table(folder / case["inputs"]["data"])[case["inputs"]["col"]]


def edhec_start(folder: Path, case: Case) -> list[float]:
    values = next(iter(table(folder / "edhec.csv").values()))[:100]
    by = [tail.gaussian(values, 0.95, sigma=Sigma.POPULATION), tail.modified(values, 0.95, sigma=Sigma.POPULATION)]
    return [-one.var for one in (*by, tail.historical(values, 0.95))]


def edhec_var(folder: Path, case: Case) -> list[float]:
    return [-tail.historical(column, 0.95).var for column in table(folder / "edhec.csv").values()]


def edhec_es(folder: Path, case: Case) -> list[float]:
    columns = table(folder / "edhec.csv").values()
    return [-tail.historical(column, 0.95, tail=Tail.BEYOND).es for column in columns]


def hull(folder: Path, case: Case) -> list[float]:
    given = case["inputs"]
    sigma = np.array(given["sigma_usd"], np.float64)
    correlation = np.array([[1.0, given["rho"]], [given["rho"], 1.0]])
    return [given["z"] * math.sqrt(given["days"]) * portfolio.sigma_of(sigma, correlation)]


def returns_of(folder: Path, case: Case) -> Floats:
    prices = series_of(folder, case)
    made: Floats = prices[1:] / prices[:-1] - 1
    return made


def depths(folder: Path, case: Case) -> list[float]:
    measures = (drawdown.max_drawdown, drawdown.average_drawdown, drawdown.ulcer_index)
    return [measure(returns_of(folder, case), from_start=False) for measure in measures]


def garch(folder: Path, case: Case) -> list[float]:
    return list(volatility.fit_garch(np.loadtxt(folder / "dem2gbp.csv"))[:5])


def pof(folder: Path, case: Case) -> list[float]:
    return list(backtest.kupiec(case["inputs"]["N"], case["inputs"]["failures"], 1 - case["inputs"]["p"]))


def joint(folder: Path, case: Case) -> list[float]:
    given = case["inputs"]
    pairs = backtest.Transitions(given["N00"], given["N01"], given["N10"], given["N11"])
    return list(backtest.conditional_coverage(given["N"], given["failures"], pairs, 1 - given["p"]))


REPRODUCED: dict[str, Callable[[Path, Case], list[float]]] = {
    "risk-pa-01": edhec_start,
    "risk-pa-04": edhec_var,
    "risk-pa-07": edhec_es,
    "risk-pa-11": lambda folder, case: [performance.sortino(series_of(folder, case))],
    "risk-hull-20": hull,
    "risk-skf-24": depths,
    "risk-skf-27": lambda folder, case: [entropic.evar(returns_of(folder, case), 0.95)],
    "size-pa-10": lambda folder, case: [
        performance.kelly(series_of(folder, case), riskless=case["inputs"]["Rf"], fraction=0.5)
    ],
    "bt-mw-13": pof,
    "bt-mw-16": joint,
    "risk-fcp-22": garch,
}


@pytest.mark.parametrize("name", REPRODUCED)
def test_a_published_result_is_reproduced(name: str, market_data: Path) -> None:
    folder = market_data / "reference"
    case = next(one for one in json.loads((folder / "cases.json").read_text())["cases"] if one["id"] == name)
    expected = case["expected"]
    wanted = list(expected.values()) if isinstance(expected, dict) else expected
    tolerances = np.broadcast_to(np.asarray(case["abs_tol"], np.float64), (len(wanted),))
    found = REPRODUCED[name](folder, case)
    assert len(found) == len(wanted)
    off = [
        (one, other)
        for one, other, tolerance in zip(found, wanted, tolerances, strict=True)
        if abs(one - other) > tolerance
    ]
    assert off == []


def test_no_published_result_of_these_topics_is_left_out(market_data: Path) -> None:
    cases = json.loads((market_data / "reference" / "cases.json").read_text())["cases"]
    assert {case["id"] for case in cases if case["topic"] in TOPICS} == set(REPRODUCED)
