"""Re-solving optimisers on SYNTHETIC returns, whole lots, and posting to the ledger.

Every re-solve has new numbers for mean, covariance and the book that is held; what is measured is parameters in,
weights with their certificate out. Run with ``python -m tests.perf.bench_portfolio``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests.factories import journal
from workers.engine.accounting.attribution import Attribution
from workers.engine.accounting.ledger import Ledger
from workers.engine.portfolio import covariance
from workers.engine.portfolio.hierarchical import HierarchicalRiskParity
from workers.engine.portfolio.lots import Lot, exact, greedy
from workers.engine.portfolio.methods import (
    MaximumSharpe,
    MeanVariance,
    MinimumCVaR,
    MinimumVariance,
    RiskBudget,
    TargetReturn,
    TargetRisk,
)
from workers.engine.portfolio.problem import Constraints, Optimizer, Problem, Status

SIZE = 20
SOLVES = 300
TRADING = Constraints(upper=0.2, turnover=0.5, cost_bps=10.0)


def problems(count: int, constraints: Constraints) -> list[Problem]:
    """Problems of one shape with different numbers."""
    rng = np.random.default_rng(7)
    loads = rng.normal(size=(4, SIZE))
    made = []
    for _ in range(count):
        returns = (rng.normal(size=(250, 4)) @ loads + rng.normal(size=(250, SIZE))) * 0.01
        made.append(
            Problem(
                symbols=tuple(f"S{i:02}" for i in range(SIZE)),
                covariance=covariance.ledoit_wolf(returns).matrix * 250,
                mean=rng.uniform(0.02, 0.3, SIZE),
                scenarios=returns,
                current=rng.dirichlet(np.full(SIZE, 5.0)),
                constraints=constraints,
            )
        )
    return made


Row = tuple[str, int, float, float, float]
"""Name, calls, median and 99th percentile of the time, and mean CPU time, in milliseconds."""


def spans(name: str, work: Callable[[int], object], count: int) -> Row:
    """Time ``count`` calls after one that warms up."""
    work(0)
    taken = []
    used = time.process_time()
    for number in range(count):
        begun = time.perf_counter_ns()
        work(number)
        taken.append(time.perf_counter_ns() - begun)
    used = time.process_time() - used
    taken.sort()
    p99 = taken[min(count * 99 // 100, count - 1)]
    return name, count, taken[count // 2] / 1e6, p99 / 1e6, used * 1e3 / count


def solved(optimizer: Optimizer, asked: Problem) -> None:
    status = optimizer.solve(asked).status
    assert status is Status.OPTIMAL, status


def bench_optimisers() -> list[Row]:
    trading, free = problems(SOLVES, TRADING), problems(SOLVES, Constraints(upper=0.3))
    rows: list[tuple[str, Optimizer, list[Problem], int]] = [
        ("mean-variance, turnover and cost", MeanVariance(5.0), trading, SOLVES),
        ("minimum variance", MinimumVariance(), free, SOLVES),
        ("target return", TargetReturn(0.1), free, SOLVES),
        ("target risk", TargetRisk(0.5), free, SOLVES),
        ("maximum Sharpe", MaximumSharpe(), free, SOLVES),
        ("risk budgets", RiskBudget(), free, SOLVES),
        ("minimum CVaR, 250 scenarios", MinimumCVaR(), free, 60),
        (
            "HRP, single linkage",
            HierarchicalRiskParity(),
            [replace(p, constraints=Constraints()) for p in free],
            SOLVES,
        ),
    ]
    found = []
    for name, optimizer, asked, count in rows:
        found.append(spans(name, lambda i, o=optimizer, a=asked: solved(o, a[i]), count))  # type: ignore[misc]  # bound at once
    return found


def bench_lots() -> list[Row]:
    rng = np.random.default_rng(3)
    unit = 10**16
    lots = [Lot(f"S{i:02}", int(rng.uniform(5, 900) * 100) * unit // 100, fee_rate=10_000) for i in range(SIZE)]
    weights = (rng.dirichlet(np.ones(SIZE)) * 0.98).tolist()
    equity = 100_000 * unit
    rows = []
    for name, method, count in (("whole lots, greedy", greedy, 100), ("whole lots, exact MILP", exact, 10)):
        rows.append(spans(name, lambda _, m=method: m(lots, weights, equity=equity, cash=equity), count))  # type: ignore[misc]  # bound at once
    return rows


def bench_ledger(orders: int = 20_000) -> tuple[int, float]:
    """Events, and events a second of CPU time through ledger and attribution together."""
    day = journal.trading_day(1, orders)
    ledger = Ledger()
    parts = Attribution(ledger)
    begun = time.process_time()
    for event in day:
        parts.apply(event, ledger.apply(event))
    return len(day), len(day) / (time.process_time() - begun)


def main() -> None:
    """Print the table."""
    write = sys.stdout.write
    write(f"SYNTHETIC returns, {SIZE} instruments, load average {os.getloadavg()[0]:.1f}\n")
    for name, count, p50, p99, cpu in [*bench_optimisers(), *bench_lots()]:
        write(f"{name:<34} p50 {p50:8.2f} ms  p99 {p99:8.2f} ms  CPU {cpu:7.2f} ms  {count:>4} times\n")
    events, rate = bench_ledger()
    write(f"{'ledger and attribution':<34} {rate:,.0f} events/s of CPU time, {events:,} events\n")
    write(f"load average at the end {os.getloadavg()[0]:.1f}\n")


if __name__ == "__main__":
    main()
