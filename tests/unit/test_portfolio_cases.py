"""Optimisers, trees and whole lots against published results."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workers.engine.portfolio import covariance as estimate
from workers.engine.portfolio.black_litterman import BlackLitterman
from workers.engine.portfolio.hierarchical import HierarchicalRiskParity
from workers.engine.portfolio.lots import Lot, exact, greedy
from workers.engine.portfolio.methods import MaximumSharpe, RiskBudget, TargetReturn, risk_shares
from workers.engine.portfolio.problem import UNCONSTRAINED, Problem, Status, View
from workers.engine.portfolio.rebalance import clean

MONEY = 10**16


@cache
def case(folder: Path, name: str) -> dict[str, Any]:
    found = json.loads((folder / "reference" / "cases.json").read_text())["cases"]
    return next(one for one in found if one["id"] == name)


def agrees(one: dict[str, Any], actual: Any) -> None:
    np.testing.assert_allclose(actual, one["expected"], rtol=0, atol=one["abs_tol"])


@cache
def prices(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "reference" / name, index_col=0, parse_dates=True)


def twenty_stocks(folder: Path) -> Problem:
    """Annualised compounded means and pairwise covariance, as PyPortfolioOpt estimates them."""
    frame = prices(folder, "stock_prices.csv")
    returns = frame.pct_change(fill_method=None).dropna(how="all")
    mean = (1 + returns).prod() ** (252 / returns.count()) - 1
    return Problem(
        symbols=tuple(frame.columns),
        covariance=(returns.cov() * 252).to_numpy(),
        correlation=returns.corr().to_numpy(),
        mean=mean.to_numpy(),
        riskless=0.02,
    )


@pytest.mark.parametrize("number", range(8))
def test_risk_budgets_of_two_assets(market_data: Path, number: int) -> None:
    one = case(market_data, "opt-lean-28")
    covariance = np.array(one["inputs"]["cov"][str(number % 4 + 1)], np.float64)
    budgets = one["inputs"]["budgets"]["1-4" if number < 4 else "5-8"]
    answer = RiskBudget(dict(zip("ab", budgets, strict=True))).solve(Problem(symbols=("a", "b"), covariance=covariance))
    assert answer.status is Status.OPTIMAL
    agrees({**one, "expected": one["expected"][2 * number : 2 * number + 2]}, answer.weights)
    np.testing.assert_allclose(risk_shares(answer.weights, covariance), budgets, atol=1e-5)


def test_equal_risk_of_twenty_stocks(market_data: Path) -> None:
    one = case(market_data, "opt-skf-42")
    returns = prices(market_data, one["inputs"]["data"]).pct_change().dropna().loc[one["inputs"]["start"] :]
    answer = RiskBudget().solve(Problem(symbols=tuple(returns.columns), covariance=returns.cov().to_numpy()))
    agrees(one, answer.weights)
    assert answer.details["missed"] < 1e-6


def test_black_litterman_with_two_views(market_data: Path) -> None:
    one = case(market_data, "opt-hl-31")
    given = one["inputs"]
    symbols = tuple(given["order"].split())
    covariance = np.outer(given["vol"], given["vol"]) * np.array(given["corr"])
    views = tuple(
        View(weights=dict(zip(symbols, given[f"P{i}"], strict=True)), expected=given[f"Q{i}"]) for i in (1, 2)
    )
    market = dict(zip(symbols, given["w_eq"], strict=True))
    optimiser = BlackLitterman(market, views, aversion=given["delta"], tau=given["tau"])
    answer = optimiser.solve(Problem(symbols=symbols, covariance=covariance, constraints=UNCONSTRAINED))
    assert answer.status is Status.OPTIMAL
    agrees(one, answer.weights)


def test_least_risk_for_a_return(market_data: Path) -> None:
    problem = twenty_stocks(market_data)
    answer = TargetReturn(0.25).solve(problem)
    assert answer.expected is not None
    sharpe = (answer.expected - problem.riskless) / answer.volatility
    agrees(case(market_data, "opt-ppo-34"), [answer.expected, answer.volatility, sharpe])


def test_tree_of_twenty_stocks(market_data: Path) -> None:
    problem = twenty_stocks(market_data)
    answer = HierarchicalRiskParity("single").solve(problem)
    agrees(case(market_data, "opt-ppo-37"), answer.weights)
    assert answer.details == {"moved": 0.0}
    # Scale does not matter: the case is on daily covariances.
    daily = HierarchicalRiskParity("single").solve(replace(problem, covariance=problem.covariance / 252))
    np.testing.assert_allclose(daily.weights, answer.weights, atol=1e-12)


def test_whole_lots_of_the_best_sharpe(market_data: Path) -> None:
    one = case(market_data, "reb-ppo-72")
    answer = MaximumSharpe().solve(twenty_stocks(market_data))
    assert answer.status is Status.OPTIMAL
    wanted = clean(answer.by_symbol())
    newest = prices(market_data, one["inputs"]["data"]).iloc[-1]
    lots = [Lot(symbol, round(float(newest[symbol]) * 1e6) * 10**10) for symbol in answer.symbols]
    weights = [max(wanted[symbol], 0.0) for symbol in answer.symbols]
    equity = one["inputs"]["total"] * MONEY
    quick = greedy(lots, weights, equity=equity, cash=equity)
    assert {symbol: count for symbol, count in quick.lots.items() if count} == one["expected"]
    assert quick.cash / MONEY == pytest.approx(11.889853, abs=1e-6)
    closest = exact(lots, weights, equity=equity, cash=equity)
    assert closest.optimal
    assert closest.gap <= quick.gap
    assert closest.cash >= 0


def test_shrinkage_agrees_with_the_published_intensity(market_data: Path) -> None:
    """Against an independent statement of Ledoit and Wolf's lemma 3.3, one observation at a time."""
    returns = prices(market_data, "sp500_dataset.csv.gz").pct_change().dropna().to_numpy()[:300]
    centred = returns - returns.mean(axis=0)
    periods, size = centred.shape
    raw = centred.T @ centred / periods
    target = np.trace(raw) / size * np.eye(size)
    distance = np.linalg.norm(raw - target) ** 2
    error = sum(np.linalg.norm(np.outer(row, row) - raw) ** 2 for row in centred) / periods**2
    found = estimate.ledoit_wolf(returns)
    assert found.shrinkage == pytest.approx(error / distance)
    np.testing.assert_allclose(found.matrix, raw + error / distance * (target - raw), rtol=1e-12, atol=1e-18)
