"""Measures of risk for 50 assets and 1,000 days: what may stand before an order, and what may not.

Run with ``python -m tests.perf.bench_risk``. Microseconds. The column beside each says what the same cost elsewhere on
two cores when these bounds were set; a figure of another machine is a guide, no test.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from workers.engine.risk.exposure import Holding
from workers.engine.risk.measures import backtest, entropic, filtered, montecarlo, portfolio, tail, volatility
from workers.engine.risk.report import Inputs, Settings, assess
from workers.engine.risk.stress import Depth, Prices
from workers.engine.risk.var_snapshot import VarSnapshot

ASSETS = 50
DAYS = 1000
PATHS = 10_000
CONFIDENCE = 0.99
DAY_NS = 86_400_000_000_000
BUDGET_S = 1.0
MOST = 20_000


def main() -> None:
    """Print the table."""
    random = np.random.default_rng(1)
    market = random.normal(0, 0.01, (DAYS, 1))
    returns = market * random.uniform(0.5, 1.5, ASSETS) + random.standard_t(5, (DAYS, ASSETS)) * 0.01
    values = random.uniform(-1e5, 1e5, ASSETS)
    covariance = portfolio.sample_covariance(returns)
    results, change = returns @ values, np.eye(ASSETS)[0] * 1e4
    running = portfolio.EwmaCovariance(covariance)
    snapshot = VarSnapshot(
        symbols=tuple(f"S{i}" for i in range(ASSETS)),
        covariance=tuple(map(tuple, ((covariance + covariance.T) / 2).tolist())),
        horizon_ns=DAY_NS,
        confidence=CONFIDENCE,
        as_of=0,
    )
    worth = dict(zip(snapshot.symbols, values.tolist(), strict=True))
    inputs = book(returns, values)
    failed = results < -tail.historical(results, CONFIDENCE).var
    print(f"{'what, 50 assets x 1,000 days':52} {'p50':>10} {'p99':>10} {'count':>7} {'guide':>13} {'load':>5}")
    measured: list[tuple[str, str, Callable[[], Any]]] = [
        ("EWMA covariance, one day more", "7", lambda: running.update(returns[0])),
        ("sigma of the book, v' C v alone", "2", lambda: portfolio.sigma_of(values, covariance)),
        ("parametric VaR and ES, input checked", "2", lambda: portfolio.parametric(values, covariance, CONFIDENCE)),
        ("the gate's snapshot, plain Python", "", lambda: snapshot.value_at_risk(worth)),
        ("historical VaR and ES of 1,000 results", "", lambda: tail.historical(results, CONFIDENCE)),
        (
            "historical VaR and ES of the book",
            "23 / 63",
            lambda: portfolio.historical_portfolio(values, returns, CONFIDENCE),
        ),
        ("Cornish-Fisher", "", lambda: tail.modified(results, CONFIDENCE)),
        ("component VaR", "", lambda: portfolio.component_var(values, covariance, CONFIDENCE)),
        ("incremental VaR of one order", "", lambda: portfolio.incremental_var(values, change, covariance, CONFIDENCE)),
        ("EWMA covariance of everything", "", lambda: portfolio.ewma_covariance(returns)),
        ("filtered historical, EWMA", "", lambda: filtered.filtered_historical(results, CONFIDENCE)),
        ("GARCH(1,1) by maximum likelihood", "", lambda: volatility.fit_garch(results)),
        ("entropic VaR", "", lambda: entropic.evar(results, CONFIDENCE)),
        (
            "Monte Carlo of the sum, 10,000 paths",
            "",
            lambda: montecarlo.monte_carlo(covariance, values, CONFIDENCE, seed=1),
        ),
        ("Monte Carlo of all assets, 10,000 x 50", "12800 / 34600", lambda: whole(covariance, values)),
        ("Kupiec and Christoffersen", "", lambda: backtests(failed)),
        ("the whole report, stress included", "", lambda: assess(inputs, Settings())),
    ]
    for what, guide, work in measured:
        row(what, guide, work)


def whole(covariance: Any, values: Any) -> tail.TailRisk:
    """Every asset drawn, as a simulation of options would need."""
    return tail.historical(montecarlo.simulate(covariance, paths=PATHS, seed=1) @ values, CONFIDENCE)


def backtests(failed: Any) -> backtest.Coverage:
    return backtest.conditional_coverage(failed.size, int(failed.sum()), backtest.transitions(failed), CONFIDENCE)


def book(returns: Any, values: Any) -> Inputs:
    """The same as a report's input."""
    closes = 100 * np.cumprod(np.clip(1 + returns, 0.5, 1.5), axis=0)
    times = [DAY_NS * (i + 1) for i in range(DAYS)]
    names = [f"S{i}" for i in range(ASSETS)]
    return Inputs(
        at=times[-1],
        venue="paper",
        quote="USDT",
        holdings=tuple(
            Holding(symbol=name, venue="paper", base=name, quote="USDT", quantity=Decimal(int(value)), mark=Decimal(1))
            for name, value in zip(names, values, strict=True)
        ),
        cash={"USDT": Decimal(100_000)},
        interval_ns=DAY_NS,
        history={name: Prices(times=times, closes=closes[:, i].tolist()) for i, name in enumerate(names)},
        books={name: Depth(bids=[(0.999, 1e6)], asks=[(1.001, 1e6)]) for name in names},
    )


def row(what: str, guide: str, work: Callable[[], Any]) -> None:
    """Repeat ``work`` for a second at most, after one round that warms up."""
    work()
    taken: list[float] = []
    end = time.perf_counter() + BUDGET_S
    while len(taken) < MOST and (begun := time.perf_counter()) < end:
        work()
        taken.append((time.perf_counter() - begun) * 1e6)
    taken.sort()
    p50, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
    print(f"{what:52} {p50:10.1f} {p99:10.1f} {len(taken):7d} {guide:>13} {os.getloadavg()[0]:5.1f}", flush=True)


if __name__ == "__main__":
    main()
